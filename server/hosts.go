package server

import (
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/labstack/echo/v4"
)

// errHost is the answer to a request for a host name that is not this server's.
var errHost = errors.New("unknown host name")

// AnyHost in Config.Hosts allows every host name.
const AnyHost = "*"

// checkHost refuses requests for other host names than IP addresses, localhost and the given
// names. It protects a server without authentication from DNS rebinding: a page of another
// host, whose name resolves to this server, sends that name. Health checks are exempt,
// because they reveal nothing and may use any name.
func checkHost(hosts []string) echo.MiddlewareFunc {
	allowed := append([]string{"localhost"}, hosts...)
	return func(next echo.HandlerFunc) echo.HandlerFunc {
		return func(c echo.Context) error {
			if !isHealthCheck(c) && !isAllowedHost(c.Request().Host, allowed) {
				return errHost
			}
			return next(c)
		}
	}
}

// isAllowedHost reports whether host is an IP address or one of the allowed names, with or
// without a port.
func isAllowedHost(host string, allowed []string) bool {
	name := (&url.URL{Host: host}).Hostname()
	if address, err := netip.ParseAddr(name); err == nil {
		return address.Zone() == "" // a zone may be any text
	}
	return slices.ContainsFunc(allowed, func(a string) bool { return a == AnyHost || strings.EqualFold(a, name) })
}

// clientAddress returns how the address of a client is found: from the connection, or from
// X-Forwarded-For if the connection comes from a trusted proxy.
func clientAddress(proxies []netip.Prefix) echo.IPExtractor {
	if len(proxies) == 0 {
		return echo.ExtractIPDirect()
	}
	options := []echo.TrustOption{echo.TrustLoopback(false), echo.TrustLinkLocal(false), echo.TrustPrivateNet(false)}
	for _, p := range proxies {
		options = append(options, echo.TrustIPRange(&net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}))
	}
	return echo.ExtractIPFromXFFHeader(options...)
}
