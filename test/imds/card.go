//go:build unix

package imds

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"

	"github.com/cincbake/cincbake/test/fakeaws"
)

// Card is the first network interface of an instance.
type Card struct {
	ID      string
	MAC     net.HardwareAddr // made of the id: a slot's machines have the same, one after the other
	Address netip.Addr
	Subnet  netip.Prefix
	Network netip.Prefix // the VPC's
	Groups  []string     // ids of its security groups
}

// Gateway is the first address of the network: what leads out of it, and to the metadata service.
func (c Card) Gateway() netip.Addr { return c.Network.Masked().Addr().Next() }

// client asks the account, under nobody's name: faults of actions that machines call strike no question of this service's,
// which calls others.
func (s *Service) client(region string) *ec2.Client {
	return ec2.New(ec2.Options{Region: region, BaseEndpoint: &s.account.URL, Credentials: credentials.NewStaticCredentialsProvider("AKIAMETADATA", "secret", "")})
}

// cardOf finds the network interface that an instance was given.
func (s *Service) cardOf(ctx context.Context, i fakeaws.Instance) (Card, error) {
	client := s.client(regionOf(i))
	found, err := client.DescribeNetworkInterfaces(ctx, &ec2.DescribeNetworkInterfacesInput{Filters: []types.Filter{
		{Name: aws.String("attachment.instance-id"), Values: []string{i.ID}},
	}})
	if err != nil {
		return Card{}, err
	}
	if len(found.NetworkInterfaces) == 0 {
		return Card{}, errors.New("it has no network interface")
	}
	first := found.NetworkInterfaces[0]
	sum := sha256.Sum256([]byte(aws.ToString(first.NetworkInterfaceId)))
	sum[0] = sum[0]&^1 | 2 // one machine's, and not from a manufacturer
	card := Card{ID: aws.ToString(first.NetworkInterfaceId), MAC: sum[:6]}
	for _, g := range first.Groups {
		card.Groups = append(card.Groups, aws.ToString(g.GroupId))
	}
	if card.Address, err = netip.ParseAddr(aws.ToString(first.PrivateIpAddress)); err != nil {
		return Card{}, fmt.Errorf("network interface %s: %w", card.ID, err)
	}
	subnets, err := client.DescribeSubnets(ctx, &ec2.DescribeSubnetsInput{SubnetIds: []string{i.Subnet}})
	if err != nil {
		return Card{}, err
	}
	networks, err := client.DescribeVpcs(ctx, &ec2.DescribeVpcsInput{VpcIds: []string{i.VPC}})
	if err != nil {
		return Card{}, err
	}
	var broken error
	card.Subnet, err = netip.ParsePrefix(aws.ToString(subnets.Subnets[0].CidrBlock))
	card.Network, broken = netip.ParsePrefix(aws.ToString(networks.Vpcs[0].CidrBlock))
	return card, errors.Join(err, broken)
}

// regionOf is the one of an instance's zone.
func regionOf(i fakeaws.Instance) string { return i.Zone[:max(len(i.Zone)-1, 0)] }
