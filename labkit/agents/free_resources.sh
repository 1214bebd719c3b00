# Print what this machine has left for more labs: memory, threads, inotify instances and disk.
# It runs in a container of its own: /proc shows the host's memory and processes, and the file
# system of the container lies on the disk of the engine.
cat /proc/meminfo
echo "threads $(cut -d' ' -f4 /proc/loadavg | cut -d/ -f2)"
echo "most $(cat /proc/sys/kernel/threads-max) $(cat /proc/sys/kernel/pid_max)"
echo "inotify $(cat /proc/sys/fs/inotify/max_user_instances)"
echo "disk $(df --output=avail --block-size=1 / | tail -n 1)"
