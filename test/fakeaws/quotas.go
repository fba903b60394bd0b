package fakeaws

// quotas are limits that an account can read. None is kept to. They share EC2's lock.
type quotas struct {
	ec2    *ec2
	values map[string]float64 // by region, service and code
}

// knownQuotas are the quotas that every region has, with their names.
var knownQuotas = map[string]struct {
	name  string
	value float64
}{
	"ec2/L-1216C47A":                  {"Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances", 256},
	"ec2/L-0263D0A3":                  {"EC2-VPC Elastic IPs", 5},
	"ebs/L-7A658B76":                  {"Storage for General Purpose SSD (gp3) volumes, in TiB", 50},
	"vpc/L-DF5E4CA3":                  {"Network interfaces per Region", 5000},
	"autoscaling/L-CDE20ADC":          {"Auto Scaling groups per region", 500},
	"elasticloadbalancing/L-69A177A2": {"Network Load Balancers per Region", 50},
}

func (q *quotas) service() service {
	return &tabled{name: "servicequotas", speaks: jsonProtocol{}, lock: &q.ec2.mu, actions: map[string]func(*Call) (any, error){
		"GetServiceQuota": q.get,
	}}
}

func (q *quotas) get(c *Call) (any, error) {
	type quota struct {
		ServiceCode, QuotaCode, QuotaName, Unit string
		Value                                   float64
		Adjustable                              bool
	}
	service, code := c.Params.String("ServiceCode"), c.Params.String("QuotaCode")
	known, ok := knownQuotas[service+"/"+code]
	value, set := q.values[c.Region+service+"/"+code]
	if !set {
		value = known.value
	}
	if !ok && !set {
		return nil, refuse("NoSuchResourceException", "The request failed because the specified service or quota does not exist.")
	}
	return struct{ Quota quota }{quota{service, code, known.name, "None", value, true}}, nil
}

// SetQuota says how much there may be of something.
func (s *Server) SetQuota(region, service, code string, value float64) {
	s.ec2.mu.Lock()
	defer s.ec2.mu.Unlock()
	s.quotas.values[region+service+"/"+code] = value
}
