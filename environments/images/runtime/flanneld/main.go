// flanneld with the etcd subnet manager and the vxlan and host-gw backends. Upstream's own main
// imports every backend there is, and the module of one of them cannot be had; this one has the
// flags of upstream that belong to what is left, with the same names, defaults and order of steps.
package main

import (
	"context"
	"errors"
	"flag"
	"math/big"
	"os"
	"os/signal"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/flannel-io/flannel/pkg/backend"
	_ "github.com/flannel-io/flannel/pkg/backend/hostgw"
	_ "github.com/flannel-io/flannel/pkg/backend/vxlan"
	"github.com/flannel-io/flannel/pkg/ip"
	"github.com/flannel-io/flannel/pkg/ipmatch"
	"github.com/flannel-io/flannel/pkg/subnet"
	"github.com/flannel-io/flannel/pkg/subnet/etcd"
	"github.com/flannel-io/flannel/pkg/trafficmngr"
	"github.com/flannel-io/flannel/pkg/trafficmngr/iptables"
	"github.com/flannel-io/flannel/pkg/trafficmngr/nftables"
	"github.com/flannel-io/flannel/pkg/version"
	"github.com/joho/godotenv"
	"k8s.io/klog/v2"
)

// the packages read the number behind the pointer even where there is no IPv6
var noIPv6 = ip.IP6Net{IP: (*ip.IP6)(big.NewInt(0))}

type options struct {
	etcd                     etcd.EtcdConfig
	endpoints                string
	iface                    string
	publicIP                 string
	ipMasq                   bool
	subnetFile               string
	renewMargin              int
	iptablesResync           int
	iptablesForward, version bool
}

func parse() options {
	var o options
	flag.StringVar(&o.endpoints, "etcd-endpoints", "http://127.0.0.1:4001,http://127.0.0.1:2379", "etcd endpoints, with commas between them")
	flag.StringVar(&o.etcd.Prefix, "etcd-prefix", "/coreos.com/network", "etcd prefix")
	flag.StringVar(&o.etcd.CAFile, "etcd-cafile", "", "CA certificate that etcd is verified with")
	flag.StringVar(&o.etcd.Certfile, "etcd-certfile", "", "client certificate for etcd")
	flag.StringVar(&o.etcd.Keyfile, "etcd-keyfile", "", "key of the client certificate for etcd")
	flag.StringVar(&o.etcd.Username, "etcd-username", "", "user name for etcd")
	flag.StringVar(&o.etcd.Password, "etcd-password", "", "password for etcd")
	flag.StringVar(&o.iface, "iface", "", "interface (name or address) to other hosts")
	flag.StringVar(&o.publicIP, "public-ip", "", "address that other hosts reach this one at")
	flag.BoolVar(&o.ipMasq, "ip-masq", false, "masquerade what leaves the overlay network")
	flag.StringVar(&o.subnetFile, "subnet-file", "/run/flannel/subnet.env", "where subnet and MTU are written")
	flag.IntVar(&o.renewMargin, "subnet-lease-renew-margin", 60, "minutes before its end at which a lease is renewed")
	flag.IntVar(&o.iptablesResync, "iptables-resync", 5, "seconds between two looks at the iptables rules")
	flag.BoolVar(&o.iptablesForward, "iptables-forward-rules", true, "accept traffic of the overlay network in FORWARD")
	flag.BoolVar(&o.version, "version", false, "print the version and exit")
	klog.InitFlags(nil)
	flag.Parse()
	o.etcd.Endpoints = strings.Split(o.endpoints, ",")
	return o
}

// previous reads a network that an earlier run wrote, so that a restart keeps its lease.
func previous(file, key string) ip.IP4Net {
	values, err := godotenv.Read(file)
	if err != nil || values[key] == "" {
		return ip.IP4Net{}
	}
	var network ip.IP4Net
	if err := network.UnmarshalJSON([]byte(`"` + values[key] + `"`)); err != nil {
		klog.Warningf("%s in %s is no network: %v", key, file, err)
	}
	return network
}

// networkConfig asks until there is an answer: etcd may be up later than this.
func networkConfig(ctx context.Context, manager subnet.Manager) (*subnet.Config, error) {
	for {
		config, err := manager.GetNetworkConfig(ctx)
		if err == nil && config != nil {
			return config, nil
		}
		klog.Errorf("Couldn't fetch network config: %v", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func traffic(nft bool) trafficmngr.TrafficManager {
	if nft {
		return &nftables.NFTablesManager{}
	}
	return &iptables.IPTablesManager{}
}

func serve(ctx context.Context, cancel context.CancelFunc, wg *sync.WaitGroup, o options) error {
	manager, err := etcd.NewLocalManager(ctx, &o.etcd, previous(o.subnetFile, "FLANNEL_SUBNET"), noIPv6, o.renewMargin)
	if err != nil {
		return err
	}
	klog.Infof("Created subnet manager: %s", manager.Name())
	config, err := networkConfig(ctx, manager)
	if err != nil {
		return err
	}
	if !config.EnableIPv4 || config.EnableIPv6 {
		return errors.New("this flanneld serves IPv4 networks only")
	}
	klog.Infof("Found network config - Backend type: %s", config.BackendType)
	family, err := ipmatch.GetIPFamily(true, false)
	if err != nil {
		return err
	}
	iface, err := ipmatch.LookupExtIface(o.iface, "", "", family, ipmatch.PublicIPOpts{PublicIP: o.publicIP})
	if err != nil {
		return err
	}
	chosen, err := backend.NewManager(ctx, manager, iface).GetBackend(config.BackendType)
	if err != nil {
		return err
	}
	network, err := chosen.RegisterNetwork(ctx, wg, config)
	if err != nil {
		return err
	}
	rules := traffic(config.EnableNFTables)
	if err := rules.Init(ctx); err != nil {
		return err
	}
	if o.ipMasq {
		err := rules.SetupAndEnsureMasqRules(ctx,
			config.Network, previous(o.subnetFile, "FLANNEL_SUBNET"), previous(o.subnetFile, "FLANNEL_NETWORK"),
			config.IPv6Network, noIPv6, noIPv6, network.Lease(), o.iptablesResync, false)
		if err != nil {
			return err
		}
	}
	if o.iptablesForward {
		rules.SetupAndEnsureForwardRules(ctx, config.Network, config.IPv6Network, o.iptablesResync)
	}
	err = manager.HandleSubnetFile(o.subnetFile, config, o.ipMasq, network.Lease().Subnet, network.Lease().IPv6Subnet, network.MTU())
	if err != nil {
		return err
	}
	klog.Infof("Wrote subnet file to %s", o.subnetFile)
	wg.Go(func() { network.Run(ctx) })
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		klog.Errorf("Failed to notify systemd: %v", err)
	}
	// returns when the lease is lost or the context done
	err = manager.CompleteLease(ctx, network.Lease(), wg)
	if err != nil && ctx.Err() == nil {
		cancel()
		return err
	}
	return nil
}

func main() {
	o := parse()
	if o.version {
		println(version.Version)
		return
	}
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	var wg sync.WaitGroup
	err := serve(ctx, cancel, &wg, o)
	if err != nil && ctx.Err() == nil {
		klog.Errorf("flanneld ends: %v", err)
		klog.Flush()
		os.Exit(1)
	}
	cancel()
	wg.Wait()
	klog.Info("Exiting cleanly...")
	if err != nil && !errors.Is(err, context.Canceled) {
		os.Exit(1)
	}
}
