// etcdctl, alone: the lab calls it dozens of times for each start, and a program initializes all
// packages of its binary before its first line.
package main

import "go.etcd.io/etcd/etcdctl/v3/ctlv3"

func main() { ctlv3.MustStart() }
