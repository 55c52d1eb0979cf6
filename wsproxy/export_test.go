package wsproxy

// For tests outside the package.
var (
	ReadProxyHeader = readProxyHeader
	ProxyHeader     = proxyHeader
)
