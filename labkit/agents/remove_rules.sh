# Delete the firewall's rules that carry a comment. Argument: the comment.
set -u
for table in nat filter; do
  iptables -w 5 -t "$table" -S | grep -F -- "--comment $1 " | sed 's/^-A /-D /' |
    while read -r rule; do
      # shellcheck disable=SC2086 # the rule is a list of words
      iptables -w 5 -t "$table" $rule
    done
done
