"""The flags that each component has, and which of them are switches.

Kubernetes', etcd's and flanneld's are taken from the sources of Kubernetes 1.37.2, etcd 3.7.3 and
environments/images; dockerd's were held against ``dockerd --help`` of 20.10 only. A flag that
stands here and not in :mod:`labkit.cluster.defaults` changes no claim of the model.
"""

from __future__ import annotations

__all__ = ["FLAGS", "SWITCHES"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


# "--switch" alone means true; a value needs "="
SWITCHES: dict[str, frozenset[str]] = {
    "containerd": _words("""
        help version
    """),
    "dockerd": _words("""
        cri-containerd
        allow-direct-routing bridge-accept-fwmark cdi debug experimental help icc init ip-forward
        ip-forward-no-drop ip-masq ip6tables iptables ipv6 live-restore no-new-privileges raw-logs
        rootless selinux-enabled tls tlsverify userland-proxy validate version
    """),
    "etcd": _words("""
        auto-tls client-cert-auth discovery-insecure-skip-tls-verify discovery-insecure-transport
        enable-distributed-tracing enable-grpc-gateway enable-log-rotation enable-pprof
        force-new-cluster help initial-election-tick-advance memory-mlock peer-auto-tls
        peer-client-cert-auth peer-skip-client-san-verification pre-vote socket-reuse-address
        socket-reuse-port strict-reconfig-check unsafe-no-fsync version
    """),
    "flanneld": _words("""
        help ip-masq iptables-forward-rules kube-subnet-mgr version
    """),
    "kube-apiserver": _words("""
        aggregator-reject-forwarding-redirect allow-privileged anonymous-auth
        audit-log-batch-throttle-enable audit-log-compress audit-log-truncate-enabled
        audit-webhook-batch-throttle-enable audit-webhook-truncate-enabled
        authentication-skip-lookup authentication-tolerate-lookup-failure contention-profiling
        disable-http2-serving emulation-forward-compatible enable-aggregator-routing
        enable-bootstrap-token-auth enable-garbage-collector enable-logs-handler
        enable-priority-and-fairness encryption-provider-config-automatic-reload help leader-elect
        log-json-split-stream log-text-split-stream permit-address-sharing permit-port-sharing
        profiling runtime-config-emulation-forward-compatible
        service-account-extend-token-expiration service-account-lookup shutdown-send-retry-after
        version watch-cache
    """),
    "kube-controller-manager": _words("""
        allocate-node-cidrs allow-untagged-cloud authentication-skip-lookup
        authentication-tolerate-lookup-failure configure-cloud-routes contention-profiling
        disable-attach-detach-reconcile-sync disable-force-detach-on-timeout disable-http2-serving
        emulation-forward-compatible enable-dynamic-provisioning enable-garbage-collector
        enable-hostpath-provisioner help leader-elect log-json-split-stream log-text-split-stream
        permit-address-sharing permit-port-sharing profiling use-service-account-credentials
        version webhook-disable-http2-serving
    """),
    "kube-proxy": _words("""
        bind-address-hard-fail cleanup conntrack-tcp-be-liberal enable-dsr forward-healthcheck-vip
        help init-only iptables-localhost-nodeports ipvs-strict-arp leader-elect
        log-json-split-stream log-text-split-stream masquerade-all profiling version
        windows-service
    """),
    "kube-scheduler": _words("""
        authentication-skip-lookup authentication-tolerate-lookup-failure contention-profiling
        disable-http2-serving emulation-forward-compatible help leader-elect log-json-split-stream
        log-text-split-stream permit-address-sharing permit-port-sharing profiling version
    """),
    "kubectl-proxy": _words("""
        append-server-path disable-compression disable-filter help insecure-skip-tls-verify
        match-server-version warnings-as-errors
    """),
    "kubelet": _words("""
        anonymous-auth authentication-token-webhook cgroups-per-qos contention-profiling
        cpu-cfs-quota enable-controller-attach-detach enable-debugging-handlers enable-server
        exit-on-lock-contention experimental-allocatable-ignore-eviction fail-cgroupv1
        fail-swap-on help kernel-memcg-notification leader-elect local-storage-capacity-isolation
        log-json-split-stream log-text-split-stream make-iptables-util-chains
        protect-kernel-defaults register-node rotate-certificates rotate-server-certificates
        runonce seccomp-default serialize-image-pulls version windows-service
    """),
}

# these take a value, with "=" or as the next word
FLAGS: dict[str, frozenset[str]] = {
    "containerd": _words("""
        address config log-level root state
    """),
    "dockerd": _words("""
        api-cors-header
        add-runtime allow-nondistributable-artifacts authorization-plugin bip bip6 bridge
        cgroup-parent config-file containerd containerd-namespace containerd-plugins-namespace
        cpu-rt-period cpu-rt-runtime data-root default-address-pool default-cgroupns-mode
        default-gateway default-gateway-v6 default-ipc-mode default-network-opt default-runtime
        default-shm-size default-ulimit dns dns-opt dns-search exec-opt exec-root feature
        firewall-backend fixed-cidr fixed-cidr-v6 group host host-gateway-ip http-proxy
        https-proxy init-path insecure-registry ip label log-driver log-format log-level log-opt
        max-concurrent-downloads max-concurrent-uploads max-download-attempts metrics-addr mtu
        network-control-plane-mtu no-proxy node-generic-resource oom-score-adjust pidfile
        registry-mirror seccomp-profile shutdown-timeout storage-driver storage-opt
        swarm-default-advertise-addr tlscacert tlscert tlskey userland-proxy-path userns-remap
    """),
    "etcd": _words("""
        advertise-client-urls auth-token auth-token-ttl auto-compaction-mode
        auto-compaction-retention backend-batch-interval backend-batch-limit
        backend-bbolt-freelist-type bcrypt-cost bootstrap-defrag-threshold-megabytes cert-file
        cipher-suites client-cert-allowed-hostname client-cert-file client-crl-file
        client-key-file compact-hash-check-time compaction-batch-limit compaction-sleep-interval
        config-file corrupt-check-time cors data-dir discovery-cacert discovery-cert
        discovery-dial-timeout discovery-endpoints discovery-fallback discovery-keepalive-time
        discovery-keepalive-timeout discovery-key discovery-password discovery-request-timeout
        discovery-srv discovery-srv-name discovery-token discovery-user
        distributed-tracing-address distributed-tracing-instance-id
        distributed-tracing-sampling-rate distributed-tracing-service-name downgrade-check-time
        election-timeout experimental-distributed-tracing-address feature-gates
        grpc-keepalive-interval grpc-keepalive-min-time grpc-keepalive-timeout heartbeat-interval
        host-whitelist initial-advertise-peer-urls initial-cluster initial-cluster-state
        initial-cluster-token key-file listen-client-http-urls listen-client-urls
        listen-metrics-urls listen-peer-urls log-format log-level log-outputs
        log-rotation-config-json logger max-concurrent-streams max-learners max-request-bytes
        max-snapshots max-txn-ops max-wals metrics name peer-cert-allowed-cn
        peer-cert-allowed-hostname peer-cert-file peer-client-cert-file peer-client-key-file
        peer-crl-file peer-key-file peer-trusted-ca-file quota-backend-bytes raft-read-timeout
        raft-write-timeout self-signed-cert-validity snapshot-catchup-entries snapshot-count
        tls-max-version tls-min-version trusted-ca-file v2-deprecation wal-dir
        warning-apply-duration warning-unary-request-duration watch-progress-notify-interval
    """),
    "flanneld": _words("""
        etcd-cafile etcd-certfile etcd-endpoints etcd-keyfile etcd-password etcd-prefix
        etcd-username iface iptables-resync public-ip subnet-file subnet-lease-renew-margin v
        vmodule
    """),
    "kube-apiserver": _words("""
        admission-control admission-control-config-file advertise-address allow-metric-labels
        allow-metric-labels-manifest api-audiences apiserver-count audit-log-batch-buffer-size
        audit-log-batch-max-size audit-log-batch-max-wait audit-log-batch-throttle-burst
        audit-log-batch-throttle-qps audit-log-format audit-log-maxage audit-log-maxbackup
        audit-log-maxsize audit-log-mode audit-log-path audit-log-truncate-max-batch-size
        audit-log-truncate-max-event-size audit-log-version audit-policy-file
        audit-webhook-batch-buffer-size audit-webhook-batch-initial-backoff
        audit-webhook-batch-max-size audit-webhook-batch-max-wait
        audit-webhook-batch-throttle-burst audit-webhook-batch-throttle-qps
        audit-webhook-config-file audit-webhook-initial-backoff audit-webhook-mode
        audit-webhook-truncate-max-batch-size audit-webhook-truncate-max-event-size
        audit-webhook-version authentication-config authentication-kubeconfig
        authentication-token-webhook-cache-ttl authentication-token-webhook-config-file
        authentication-token-webhook-version authorization-always-allow-paths authorization-config
        authorization-kubeconfig authorization-mode authorization-policy-file
        authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl
        authorization-webhook-config-file authorization-webhook-version bind-address cert-dir
        client-ca-file coordinated-leadership-lease-duration coordinated-leadership-renew-deadline
        coordinated-leadership-retry-period cors-allowed-origins debug-socket-path
        default-not-ready-toleration-seconds default-unreachable-toleration-seconds
        default-watch-cache-size delete-collection-workers disable-admission-plugins
        disabled-metrics egress-selector-config-file emulated-version enable-admission-plugins
        encryption-provider-config endpoint-reconciler-type etcd-cafile etcd-certfile
        etcd-compaction-interval etcd-count-metric-poll-period etcd-db-metric-poll-interval
        etcd-healthcheck-timeout etcd-keyfile etcd-prefix etcd-readycheck-timeout etcd-servers
        etcd-servers-overrides event-ttl external-hostname feature-gates goaway-chance
        http2-max-streams-per-connection kubeconfig kubelet-certificate-authority
        kubelet-client-certificate kubelet-client-key kubelet-port kubelet-preferred-address-types
        kubelet-read-only-port kubelet-timeout kubernetes-service-node-port
        leader-elect-lease-duration leader-elect-renew-deadline leader-elect-resource-lock
        leader-elect-resource-name leader-elect-resource-namespace leader-elect-retry-period
        lease-reuse-duration-seconds livez-grace-period log-flush-frequency
        log-json-info-buffer-size log-text-info-buffer-size logging-format
        max-connection-bytes-per-sec max-mutating-requests-inflight max-requests-inflight
        min-compatibility-version min-request-timeout oidc-ca-file oidc-client-id
        oidc-groups-claim oidc-groups-prefix oidc-issuer-url oidc-required-claim oidc-signing-algs
        oidc-username-claim oidc-username-prefix peer-advertise-ip peer-advertise-port
        peer-ca-file proxy-client-cert-file proxy-client-key-file request-timeout
        requestheader-allowed-names requestheader-client-ca-file
        requestheader-extra-headers-prefix requestheader-group-headers requestheader-uid-headers
        requestheader-username-headers runtime-config secure-port service-account-issuer
        service-account-jwks-uri service-account-key-file service-account-max-token-expiration
        service-account-signing-endpoint service-account-signing-key-file service-cluster-ip-range
        service-node-port-range show-hidden-metrics-for-version shutdown-delay-duration
        shutdown-watch-termination-grace-period storage-backend storage-initialization-timeout
        storage-media-type strict-transport-security-directives tls-cert-file tls-cipher-suites
        tls-curve-preferences tls-min-version tls-private-key-file tls-sni-cert-key
        token-auth-file tracing-config-file v vmodule watch-cache-sizes
    """),
    "kube-controller-manager": _words("""
        allow-metric-labels allow-metric-labels-manifest attach-detach-reconcile-sync-period
        authentication-kubeconfig authentication-token-webhook-cache-ttl
        authorization-always-allow-paths authorization-kubeconfig
        authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl
        bind-address cert-dir cidr-allocator-type client-ca-file cloud-config cloud-provider
        cluster-cidr cluster-name cluster-signing-cert-file cluster-signing-duration
        cluster-signing-key-file cluster-signing-kube-apiserver-client-cert-file
        cluster-signing-kube-apiserver-client-key-file cluster-signing-kubelet-client-cert-file
        cluster-signing-kubelet-client-key-file cluster-signing-kubelet-serving-cert-file
        cluster-signing-kubelet-serving-key-file cluster-signing-legacy-unknown-cert-file
        cluster-signing-legacy-unknown-key-file concurrent-cron-job-syncs
        concurrent-daemonset-syncs concurrent-deployment-syncs
        concurrent-device-taint-eviction-syncs concurrent-disruption-syncs
        concurrent-endpoint-syncs concurrent-ephemeralvolume-syncs concurrent-gc-syncs
        concurrent-horizontal-pod-autoscaler-syncs concurrent-job-syncs concurrent-namespace-syncs
        concurrent-node-lifecycle-syncs concurrent-node-status-updates concurrent-node-syncs
        concurrent-replicaset-syncs concurrent-replication-controller-syncs
        concurrent-resource-quota-syncs concurrent-resourceclaim-syncs
        concurrent-service-endpoint-syncs concurrent-service-syncs
        concurrent-serviceaccount-token-syncs concurrent-statefulset-syncs
        concurrent-ttl-after-finished-syncs concurrent-validating-admission-policy-status-syncs
        concurrent_rc_syncs controller-shutdown-timeout controller-start-interval controllers
        debug-socket-path disabled-metrics emulated-version endpoint-updates-batch-period
        endpointslice-updates-batch-period external-cloud-volume-plugin feature-gates
        flex-volume-plugin-dir horizontal-pod-autoscaler-cpu-initialization-period
        horizontal-pod-autoscaler-downscale-stabilization
        horizontal-pod-autoscaler-initial-readiness-delay horizontal-pod-autoscaler-sync-period
        horizontal-pod-autoscaler-tolerance http2-max-streams-per-connection kube-api-burst
        kube-api-content-type kube-api-qps kubeconfig large-cluster-size-threshold
        leader-elect-lease-duration leader-elect-renew-deadline leader-elect-resource-lock
        leader-elect-resource-name leader-elect-resource-namespace leader-elect-retry-period
        legacy-service-account-token-clean-up-period log-flush-frequency log-json-info-buffer-size
        log-text-info-buffer-size logging-format master max-endpoints-per-slice
        min-compatibility-version min-request-timeout min-resync-period
        mirroring-concurrent-service-endpoint-syncs mirroring-endpointslice-updates-batch-period
        mirroring-max-endpoints-per-subset namespace-sync-period node-cidr-mask-size
        node-cidr-mask-size-ipv4 node-cidr-mask-size-ipv6 node-eviction-rate
        node-monitor-grace-period node-monitor-period node-startup-grace-period
        node-status-update-frequency node-sync-period pv-recycler-increment-timeout-nfs
        pv-recycler-minimum-timeout-hostpath pv-recycler-minimum-timeout-nfs
        pv-recycler-pod-template-filepath-hostpath pv-recycler-pod-template-filepath-nfs
        pv-recycler-timeout-increment-hostpath pvclaimbinder-sync-period request-timeout
        requestheader-allowed-names requestheader-client-ca-file
        requestheader-extra-headers-prefix requestheader-group-headers requestheader-uid-headers
        requestheader-username-headers resource-quota-sync-period root-ca-file
        route-reconciliation-period secondary-node-eviction-rate secure-port
        service-account-private-key-file service-cluster-ip-range show-hidden-metrics-for-version
        terminated-pod-gc-threshold tls-cert-file tls-cipher-suites tls-curve-preferences
        tls-min-version tls-private-key-file tls-sni-cert-key unhealthy-zone-threshold v vmodule
        webhook-bind-address webhook-cert-dir webhook-secure-port webhook-tls-cert-file
        webhook-tls-cipher-suites webhook-tls-curve-preferences webhook-tls-min-version
        webhook-tls-private-key-file webhook-tls-sni-cert-key webhooks
    """),
    "kube-proxy": _words("""
        allow-metric-labels allow-metric-labels-manifest bind-address cluster-cidr config
        config-sync-period conntrack-max-per-core conntrack-min conntrack-tcp-timeout-close-wait
        conntrack-tcp-timeout-established conntrack-udp-timeout conntrack-udp-timeout-stream
        detect-local-mode disabled-metrics emulated-version feature-gates healthz-bind-address
        healthz-port hostname-override iptables-masquerade-bit iptables-min-sync-period
        iptables-sync-period ipvs-exclude-cidrs ipvs-min-sync-period ipvs-scheduler
        ipvs-sync-period ipvs-tcp-timeout ipvs-tcpfin-timeout ipvs-udp-timeout kube-api-burst
        kube-api-content-type kube-api-qps kubeconfig leader-elect-lease-duration
        leader-elect-renew-deadline leader-elect-resource-lock leader-elect-resource-name
        leader-elect-resource-namespace leader-elect-retry-period log-flush-frequency
        log-json-info-buffer-size log-text-info-buffer-size logging-format master
        metrics-bind-address metrics-port min-compatibility-version network-name
        nodeport-addresses oom-score-adj pod-bridge-interface pod-interface-name-prefix proxy-mode
        root-hnsendpoint-name show-hidden-metrics-for-version source-vip v vmodule write-config-to
    """),
    "kube-scheduler": _words("""
        allow-metric-labels allow-metric-labels-manifest authentication-kubeconfig
        authentication-token-webhook-cache-ttl authorization-always-allow-paths
        authorization-kubeconfig authorization-webhook-cache-authorized-ttl
        authorization-webhook-cache-unauthorized-ttl bind-address cert-dir client-ca-file config
        debug-socket-path disabled-metrics emulated-version feature-gates
        http2-max-streams-per-connection kube-api-burst kube-api-content-type kube-api-qps
        kubeconfig leader-elect-lease-duration leader-elect-renew-deadline
        leader-elect-resource-lock leader-elect-resource-name leader-elect-resource-namespace
        leader-elect-retry-period log-flush-frequency log-json-info-buffer-size
        log-text-info-buffer-size logging-format master min-compatibility-version
        min-request-timeout pod-max-in-unschedulable-pods-duration request-timeout
        requestheader-allowed-names requestheader-client-ca-file
        requestheader-extra-headers-prefix requestheader-group-headers requestheader-uid-headers
        requestheader-username-headers secure-port show-hidden-metrics-for-version tls-cert-file
        tls-cipher-suites tls-curve-preferences tls-min-version tls-private-key-file
        tls-sni-cert-key v vmodule write-config-to
    """),
    "kubectl-proxy": _words("""
        accept-hosts accept-paths address api-prefix as as-group as-uid as-user-extra cache-dir
        certificate-authority client-certificate client-key cluster context keepalive kubeconfig
        kuberc log-flush-frequency namespace password port profile profile-output reject-methods
        reject-paths request-timeout server tls-server-name token unix-socket user username v
        vmodule www www-prefix
    """),
    "kubelet": _words("""
        address allow-metric-labels allow-metric-labels-manifest allowed-unsafe-sysctls
        authentication-token-webhook-cache-ttl authorization-mode
        authorization-webhook-cache-authorized-ttl authorization-webhook-cache-unauthorized-ttl
        bootstrap-kubeconfig cert-dir cgroup-driver cgroup-root client-ca-file cloud-provider
        cluster-dns cluster-domain config config-dir container-log-max-files
        container-log-max-size container-runtime-endpoint cpu-cfs-quota-period cpu-manager-policy
        cpu-manager-policy-options cpu-manager-reconcile-period disabled-metrics emulated-version
        enforce-node-allocatable event-burst event-qps eviction-hard eviction-max-pod-grace-period
        eviction-minimum-reclaim eviction-pressure-transition-period eviction-soft
        eviction-soft-grace-period experimental-mounter-path feature-gates file-check-frequency
        hairpin-mode healthz-bind-address healthz-port hostname-override http-check-frequency
        image-credential-provider-bin-dir image-credential-provider-config image-gc-high-threshold
        image-gc-low-threshold image-service-endpoint kube-api-burst kube-api-content-type
        kube-api-qps kube-reserved kube-reserved-cgroup kubeconfig kubelet-cgroups
        leader-elect-lease-duration leader-elect-renew-deadline leader-elect-resource-lock
        leader-elect-resource-name leader-elect-resource-namespace leader-elect-retry-period
        lock-file log-flush-frequency log-json-info-buffer-size log-text-info-buffer-size
        logging-format manifest-url manifest-url-header max-open-files max-pods
        maximum-dead-containers maximum-dead-containers-per-container memory-manager-policy
        min-compatibility-version minimum-container-ttl-duration minimum-image-ttl-duration
        node-ip node-labels node-status-max-images node-status-update-frequency oom-score-adj
        pod-cidr pod-manifest-path pod-max-pids pods-per-core port provider-id qos-reserved
        read-only-port register-with-taints registry-burst registry-qps reserved-cpus
        reserved-memory resolv-conf root-dir runtime-cgroups runtime-request-timeout
        show-hidden-metrics-for-version streaming-connection-idle-timeout sync-frequency
        system-cgroups system-reserved system-reserved-cgroup tls-cert-file tls-cipher-suites
        tls-min-version tls-private-key-file topology-manager-policy
        topology-manager-policy-options topology-manager-scope v vmodule volume-plugin-dir
        volume-stats-agg-period windows-priorityclass
    """),
}
