# Take the lock of a lab, print "held" and the text about its last holder, and hold it. Arguments:
# the folder of the lock, and a line about this holder. While another process holds the lock, print
# "busy", the seconds for which it does, and its line. The first line of standard input begins, as
# Docker's client may lose what is printed before it listens. The second line or the end of standard
# input releases the lock.
cd "$1" || exit
read -r _ || exit
exec 3<&0
trap 'exec 9>&-; echo free; exit 0' USR1
{
  read -r _ <&3
  kill -s USR1 $$
} &
exec 9>>lock
shown='' patience=0.1
until flock -w "$patience" 9; do
  patience=1 holder=$(cat holder)
  [ "$holder" = "$shown" ] || echo "busy $(($(date +%s) - $(stat -c %Y holder))) $holder"
  shown=$holder
done
echo "held $(cat holder 2>/dev/null)"
printf '%s\n' "$2" >holder
wait
