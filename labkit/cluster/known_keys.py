"""The keys of KubeletConfiguration and KubeProxyConfiguration of Kubernetes 1.37.2.

https://kubernetes.io/docs/reference/config-api/kubelet-config.v1beta1/
https://kubernetes.io/docs/reference/config-api/kube-proxy-config.v1alpha1/
"""

from __future__ import annotations

__all__ = ["KUBELET_KEYS", "KUBE_PROXY_KEYS"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


KUBELET_KEYS = _words("""
    address allowedUnsafeSysctls anonymous apiVersion args authentication authorization
    cacheAuthorizedTTL cacheTTL cacheUnauthorizedTTL cgroupDriver cgroupRoot cgroupsPerQOS
    clientCAFile clusterDNS clusterDomain configMapAndSecretChangeDetectionStrategy
    containerLogMaxFiles containerLogMaxSize containerLogMaxWorkers containerLogMonitorInterval
    containerRuntimeEndpoint contentType cpuCFSQuota cpuCFSQuotaPeriod cpuManagerPolicy
    cpuManagerPolicyOptions cpuManagerReconcilePeriod crashLoopBackOff credentialHash
    credentialMapping defaultCacheDuration defaultPodSysctls enableContentionProfiling
    enableControllerAttachDetach enableDebugFlagsHandler enableDebuggingHandlers
    enableProfilingHandler enableServer enableSystemLogHandler enableSystemLogQuery enabled
    enforceNodeAllocatable env eventBurst eventRecordQPS evictionHard evictionMaxPodGracePeriod
    evictionMinimumReclaim evictionPressureTransitionPeriod evictionSoft evictionSoftGracePeriod
    failCgroupV1 failSwapOn featureGates fileCheckFrequency hairpinMode healthzBindAddress
    healthzPort httpCheckFrequency idsPerPod image imageGCHighThresholdPercent
    imageGCLowThresholdPercent imageMaximumGCAge imageMinimumGCAge
    imagePullCredentialsVerificationPolicy imageRef imageServiceEndpoint iptablesDropBit
    iptablesMasqueradeBit kernelMemcgNotification kind kubeAPIBurst kubeAPIQPS kubeReserved
    kubeReservedCgroup kubeletCgroups kubernetesSecrets kubernetesServiceAccounts lastUpdatedTime
    limits localStorageCapacityIsolation logging makeIPTablesUtilChains matchImages
    maxContainerRestartPeriod maxOpenFiles maxParallelImagePulls maxPods memoryManagerPolicy
    memoryReservationPolicy memorySwap memoryThrottlingFactor mergeDefaultEvictionSettings mode
    name namespace nodeLeaseDurationSeconds nodePodsAccessible nodeStatusMaxImages
    nodeStatusReportFrequency nodeStatusUpdateFrequency numaNode oomScoreAdj podCIDR podLogsDir
    podPidsLimit podsPerCore port preloadedImagesVerificationAllowlist priority
    protectKernelDefaults providerID providers qosReserved readOnlyPort registerNode
    registerWithTaints registryBurst registryPullQPS reservedMemory reservedSystemCPUs resolvConf
    rotateCertificates runOnce runtimeRequestTimeout seccompDefault serializeImagePulls
    serverTLSBootstrap showHiddenMetricsForVersion shutdownGracePeriod
    shutdownGracePeriodByPodPriority shutdownGracePeriodCriticalPods shutdownGracePeriodSeconds
    singleProcessOOMKill source staticPodPath staticPodURL staticPodURLHeader
    streamingConnectionIdleTimeout swapBehavior syncFrequency systemCgroups systemReserved
    systemReservedCgroup tlsCertFile tlsCipherSuites tlsCurvePreferences tlsMinVersion
    tlsPrivateKeyFile topologyManagerPolicy topologyManagerPolicyOptions topologyManagerScope
    tracing uid userNamespaces value volumePluginDir volumeStatsAggPeriod webhook x509
""")

KUBE_PROXY_KEYS = _words("""
    acceptContentTypes apiVersion bindAddress bindAddressHardFail bridgeInterface burst
    clientConnection clusterCIDR configSyncPeriod conntrack contentType detectLocal
    detectLocalMode enableContentionProfiling enableDSR enableProfiling excludeCIDRs featureGates
    forwardHealthCheckVip healthzBindAddress hostnameOverride interfaceNamePrefix iptables ipvs
    kind kubeconfig leaderElect leaseDuration localhostNodePorts logging masqueradeAll
    masqueradeBit maxPerCore metricsBindAddress min minSyncPeriod mode networkName nftables
    nodePortAddresses oomScoreAdj portRange qps renewDeadline resourceLock resourceName
    resourceNamespace retryPeriod rootHnsEndpointName scheduler showHiddenMetricsForVersion
    sourceVip strictARP syncPeriod tcpBeLiberal tcpCloseWaitTimeout tcpEstablishedTimeout
    tcpFinTimeout tcpTimeout udpStreamTimeout udpTimeout windowsRunAsService winkernel
""")
