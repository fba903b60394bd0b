package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/cincbake/cincbake/cluster"
	"github.com/cincbake/cincbake/internal/exit"
	"github.com/cincbake/cincbake/lab"
	"github.com/cincbake/cincbake/secrets"
)

// newLabForward returns the command that lab up runs in the background, for as long as the lab is there.
func newLabForward() *cobra.Command {
	var to, listen string
	c := &cobra.Command{
		Use:     "forward LAB",
		Short:   "Lead clients of this host into a lab",
		Example: "  cincbake lab forward prod --listen 127.0.0.1:8443 --to 10.20.0.10:443",
		Hidden:  true,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lab.Open(lab.DefaultFolders(), args[0])
			if err != nil {
				return err
			}
			if err := requireRoot("the lab's network is entered"); err != nil {
				return err
			}
			listener, err := listenerFor(c.Context(), listen)
			if err != nil {
				return exit.Errorf(exit.Invalid, "--listen: %w", err)
			}
			return l.Forward(c.Context(), listener, to)
		},
	}
	c.Flags().StringVar(&listen, "listen", "", "where clients connect to (default: the socket that is open as file 3)")
	c.Flags().StringVar(&to, "to", "", "where they are led, an address and a port")
	_ = c.MarkFlagRequired("to")
	return c
}

func listenerFor(ctx context.Context, address string) (net.Listener, error) {
	if address != "" {
		return (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	}
	file := os.NewFile(3, "listener")
	defer file.Close()
	return net.FileListener(file)
}

// publish has the lab answer on this host, and prints where: not before it does, unless within is 0.
func publish(c *cobra.Command, l *lab.Lab, spec *cluster.Spec, r *cluster.Resolved, bundle *secrets.Bundle, within time.Duration) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	listen, err := l.Publish(c.Context(), bundle.Trusted(), func(to string) []string {
		return []string{self, "lab", "forward", l.Name(), "--to", to}
	})
	if err != nil || listen == "" {
		return err
	}
	if within > 0 {
		if err := newDoorman(listen, r.Domain, bundle).await(c.Context(), within); err != nil {
			return err
		}
	}
	trust := "--cacert " + l.CAFile() + " "
	if certificate, _ := spec.TLSPaths(); certificate != "" {
		trust = "" // the user's own, which this host may trust or not
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), whereabouts(listen, r.Domain, trust))
	return err
}

// whereabouts tells a person how to reach the lab. It is known on no name server, so curl is told where its name leads.
func whereabouts(listen, domain, trust string) string {
	host, port := hostPort(listen)
	return fmt.Sprintf("%s\n  curl %s--resolve %[3]s:%[4]s:%[5]s https://%[3]s:%[4]s/_status", clients(listen, domain), trust, domain, port, host)
}

// clients tells which URL clients of this host use, and where its name has to lead.
func clients(listen, domain string) string {
	host, port := hostPort(listen)
	return fmt.Sprintf("clients: https://%s at %s", net.JoinHostPort(domain, port), host)
}

// hostPort takes apart an address that somebody listens on, which is always one.
func hostPort(listen string) (host, port string) {
	host, port, _ = net.SplitHostPort(listen)
	return host, port
}
