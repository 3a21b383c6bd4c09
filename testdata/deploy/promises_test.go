package deploy

import (
	"encoding/base64"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/yaml"
)

// deployed holds the objects of deploy/kubernetes, and what is wrong with them.
type deployed struct {
	pod       *core.PodSpec
	labels    labels.Set
	caddyfile string

	deployment *apps.Deployment
	service    *core.Service
	policy     *networking.NetworkPolicy
	budget     *policy.PodDisruptionBudget
	config     *core.ConfigMap
	secret     *core.Secret
	all        []runtime.Object

	problems []string
}

func (d *deployed) expect(ok bool, format string, args ...any) {
	if !ok {
		d.problems = append(d.problems, fmt.Sprintf(format, args...))
	}
}

// broken returns the promises of the manifests that do not hold.
func broken(objects []runtime.Object) []string {
	d := &deployed{
		deployment: find[*apps.Deployment](objects), service: find[*core.Service](objects), policy: find[*networking.NetworkPolicy](objects),
		budget: find[*policy.PodDisruptionBudget](objects), config: find[*core.ConfigMap](objects), secret: find[*core.Secret](objects),
		all: objects,
	}
	d.pod, d.labels = &d.deployment.Spec.Template.Spec, d.deployment.Spec.Template.Labels
	d.caddyfile = d.config.Data["Caddyfile"]
	for _, promise := range []func(){
		d.selectorsMatch, d.portsExist, d.adminIsClosed, d.egressIsLimited, d.filesExist, d.secretsAreFiles, d.containersAreConfined,
		d.probesUseHealth, d.stopsInTime, d.staysAvailable,
	} {
		promise()
	}
	return d.problems
}

// value returns what follows an option of the Caddyfile.
func (d *deployed) value(option string) string {
	m := regexp.MustCompile(`(?m)^\s*` + option + ` (\S+)`).FindStringSubmatch(d.caddyfile)
	if m == nil {
		d.expect(false, "the Caddyfile has no %s", option)
		return ""
	}
	return m[1]
}

// containerPort returns the number of a port of the container by its name or number, or 0.
func (d *deployed) containerPort(port intstr.IntOrString) int32 {
	for _, c := range d.pod.Containers {
		for _, p := range c.Ports {
			if p.Name == port.StrVal || port.Type == intstr.Int && p.ContainerPort == port.IntVal {
				return p.ContainerPort
			}
		}
	}
	return 0
}

func (d *deployed) selectorsMatch() {
	for name, selector := range map[string]*metav1.LabelSelector{
		"NetworkPolicy": &d.policy.Spec.PodSelector, "PodDisruptionBudget": d.budget.Spec.Selector,
		"Service": {MatchLabels: d.service.Spec.Selector}, "topologySpreadConstraints": d.pod.TopologySpreadConstraints[0].LabelSelector,
	} {
		s, err := metav1.LabelSelectorAsSelector(selector)
		d.expect(err == nil && !s.Empty() && s.Matches(d.labels), "%s does not select the pods", name)
	}
}

func (d *deployed) portsExist() {
	for _, p := range d.service.Spec.Ports {
		d.expect(d.containerPort(p.TargetPort) != 0, "the Service has the unknown port %s", p.TargetPort.String())
	}
	for _, rule := range d.policy.Spec.Ingress {
		for _, p := range rule.Ports {
			d.expect(p.Port == nil || d.containerPort(*p.Port) != 0, "the NetworkPolicy has the unknown port %s", p.Port)
		}
	}
	for _, c := range d.pod.Containers {
		d.expect(c.LivenessProbe.TCPSocket != nil && d.containerPort(c.LivenessProbe.TCPSocket.Port) != 0, "livenessProbe has an unknown port")
		for _, p := range c.Ports {
			d.expect(strings.Contains(d.caddyfile, fmt.Sprintf("http://:%d {", p.ContainerPort)), "no site has the port %d", p.ContainerPort)
		}
	}
}

func (d *deployed) adminIsClosed() {
	host, text, _ := strings.Cut(d.value("admin"), ":")
	d.expect(host == "127.0.0.1", "the admin endpoint listens on %s", host)
	admin, _ := strconv.ParseInt(text, 10, 32)
	d.expect(d.containerPort(intstr.FromInt32(int32(admin))) == 0, "the container has the admin port")
	for _, p := range d.service.Spec.Ports {
		d.expect(p.Port != int32(admin) && p.TargetPort.IntVal != int32(admin), "the Service has the admin port")
		d.expect(p.TargetPort.StrVal != "metrics", "the Service has the metrics")
	}
	d.expect(d.service.Spec.Type == core.ServiceTypeClusterIP, "the Service is of type %s", d.service.Spec.Type)
	d.expect(slices.Contains(d.policy.Spec.PolicyTypes, networking.PolicyTypeIngress), "the NetworkPolicy does not limit incoming connections")
	for _, rule := range d.policy.Spec.Ingress {
		d.expect(len(rule.From) > 0, "the NetworkPolicy admits all clients")
		d.expect(len(rule.Ports) > 0, "the NetworkPolicy opens all ports")
		for _, p := range rule.Ports {
			d.expect(p.Port != nil && p.EndPort == nil && p.Port.IntVal != int32(admin), "the NetworkPolicy opens the admin port")
		}
	}
}

func (d *deployed) egressIsLimited() {
	d.expect(slices.Contains(d.policy.Spec.PolicyTypes, networking.PolicyTypeEgress), "the NetworkPolicy does not limit outgoing connections")
	_, redis, _ := strings.Cut(d.value("address"), ":")
	needed := map[string]bool{"UDP/53": false, "TCP/53": false, "TCP/443": false, "TCP/" + redis: false}
	for _, rule := range d.policy.Spec.Egress {
		d.expect(len(rule.To) > 0 && len(rule.Ports) > 0, "the NetworkPolicy allows all outgoing connections")
		for _, peer := range rule.To {
			if peer.IPBlock != nil && peer.IPBlock.CIDR == "0.0.0.0/0" {
				d.expect(slices.Contains(peer.IPBlock.Except, "169.254.0.0/16"), "the NetworkPolicy allows the metadata service of the cloud")
			}
		}
		for _, p := range rule.Ports {
			if _, known := needed[fmt.Sprintf("%s/%s", *p.Protocol, p.Port)]; !known {
				d.expect(false, "the NetworkPolicy allows outgoing connections to the port %s", p.Port)
			}
			needed[fmt.Sprintf("%s/%s", *p.Protocol, p.Port)] = true
		}
	}
	for port, allowed := range needed {
		d.expect(allowed, "the NetworkPolicy does not allow %s", port)
	}
}

// filesExist checks that the volumes refer to the ConfigMap and the Secret, that Kubernetes
// updates their files, and that they have the files that the image and the Caddyfile name.
func (d *deployed) filesExist() {
	files := make(map[string]bool)
	for _, v := range d.pod.Volumes {
		keys := []string{}
		switch {
		case v.ConfigMap != nil:
			d.expect(v.ConfigMap.Name == d.config.Name && d.config.Name != "caddy-huma", "the volume %s has the ConfigMap %s", v.Name, v.ConfigMap.Name)
			keys = append(keys, "Caddyfile")
		case v.Secret != nil:
			d.expect(v.Secret.SecretName == d.secret.Name, "the volume %s has the Secret %s", v.Name, v.Secret.SecretName)
			d.expect(*v.Secret.DefaultMode == 0o440, "the files of the Secret have the mode %o", *v.Secret.DefaultMode)
			for key := range d.secret.Data {
				keys = append(keys, key)
			}
		}
		for _, c := range d.pod.Containers {
			for _, m := range c.VolumeMounts {
				d.expect(m.SubPath == "" && m.SubPathExpr == "", "%s is mounted with subPath", m.MountPath)
				for _, key := range keys {
					if m.Name == v.Name {
						files[m.MountPath+"/"+key] = true
					}
				}
			}
		}
	}
	d.expect(files["/etc/caddy/Caddyfile"], "the Caddyfile is not mounted where the image reads it")
	for _, m := range regexp.MustCompile(`\{file\.([^}]+)\}`).FindAllStringSubmatch(d.caddyfile, -1) {
		d.expect(files[m[1]], "no Secret has the file %s", m[1])
	}
}

func (d *deployed) secretsAreFiles() {
	for _, c := range slices.Concat(d.pod.Containers, d.pod.InitContainers) {
		d.expect(len(c.EnvFrom) == 0, "%s has envFrom", c.Name)
		for _, e := range c.Env {
			d.expect(e.ValueFrom == nil || e.ValueFrom.SecretKeyRef == nil, "%s is a secret in the environment", e.Name)
		}
	}
	for _, option := range []string{"secret", "password", "encryption_keys"} {
		d.expect(strings.HasPrefix(d.value(option), "{file./"), "the option %s is not a file", option)
	}
	for _, o := range d.all {
		text, err := yaml.Marshal(o)
		_, isSecret := o.(*core.Secret)
		for _, value := range secrets {
			found := strings.Contains(string(text), value) || strings.Contains(string(text), base64.StdEncoding.EncodeToString([]byte(value)))
			d.expect(err == nil && found == isSecret, "a secret is in the %s, or not in the Secret", o.GetObjectKind().GroupVersionKind().Kind)
		}
	}
}

// containersAreConfined checks what the Pod Security Standards do not require; see restricted.
func (d *deployed) containersAreConfined() {
	d.expect(d.pod.AutomountServiceAccountToken != nil && !*d.pod.AutomountServiceAccountToken, "the pods have a token of the API server")
	d.expect(d.pod.EnableServiceLinks != nil && !*d.pod.EnableServiceLinks, "the pods have environment variables of Services")
	p := d.pod.SecurityContext
	for name, id := range map[string]*int64{"runAsUser": p.RunAsUser, "runAsGroup": p.RunAsGroup, "fsGroup": p.FSGroup} {
		d.expect(id != nil && *id == 65532, "%s is not the user of the image", name)
	}
	for _, c := range slices.Concat(d.pod.Containers, d.pod.InitContainers) {
		s := c.SecurityContext
		d.expect(s != nil && s.ReadOnlyRootFilesystem != nil && *s.ReadOnlyRootFilesystem, "%s can write to its root filesystem", c.Name)
		d.expect(s != nil && s.RunAsUser == nil && s.RunAsGroup == nil, "%s runs as another user", c.Name)
		d.expect(!c.Resources.Limits.Memory().IsZero() && !c.Resources.Requests.Cpu().IsZero(), "%s has no limit of memory or requests no CPU", c.Name)
		d.expect(regexp.MustCompile(`^registry\.example\.com/caddy-huma:\d+\.\d+\.\d+$`).MatchString(c.Image), "%s has the image %s", c.Name, c.Image)
	}
}

func (d *deployed) probesUseHealth() {
	health := func(p *core.Probe) bool {
		return p != nil && p.Exec != nil && slices.Equal(p.Exec.Command, []string{"caddy", "huma", "health"})
	}
	for _, c := range d.pod.Containers {
		d.expect(health(c.StartupProbe), "startupProbe does not request the health")
		d.expect(health(c.ReadinessProbe), "readinessProbe does not request the health")
		d.expect(c.ReadinessProbe != nil && c.ReadinessProbe.TimeoutSeconds > 1, "readinessProbe has too little time to start a process")
	}
}

// stopsInTime checks the formula in docs/operations.md.
func (d *deployed) stopsInTime() {
	delay, err1 := time.ParseDuration(d.value("shutdown_delay"))
	grace, err2 := time.ParseDuration(d.value("grace_period"))
	needed := delay + max(grace, 10*time.Second) + 7*time.Second
	given := time.Duration(*d.pod.TerminationGracePeriodSeconds) * time.Second
	d.expect(err1 == nil && err2 == nil && given >= needed, "terminationGracePeriodSeconds is %s, and Caddy needs %s", given, needed)
}

func (d *deployed) staysAvailable() {
	replicas := int(*d.deployment.Spec.Replicas)
	rolling := d.deployment.Spec.Strategy.RollingUpdate
	d.expect(rolling != nil && rolling.MaxUnavailable.IntVal == 0 && rolling.MaxUnavailable.Type == intstr.Int, "a rollout stops a pod before another one is ready")
	disrupted, err := intstr.GetScaledValueFromIntOrPercent(d.budget.Spec.MaxUnavailable, replicas, true)
	d.expect(err == nil && disrupted > 0 && disrupted < replicas, "%d of %d pods may be evicted", disrupted, replicas)
}

// TestPromises checks what the comments in the manifests, and docs/kubernetes.md, promise, and
// that each promise is broken by a mistake.
func TestPromises(t *testing.T) {
	files := manifestFiles(t)
	objects, err := build(files)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range broken(objects) {
		t.Error(problem)
	}
	for _, e := range mistakes {
		objects, err := build(e.apply(t, files))
		if err != nil {
			t.Errorf("%s with %q: %v", e.file, e.new, err)
			continue
		}
		if problems := broken(objects); !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, e.want) }) {
			t.Errorf("%s with %q: %q, want %q", e.file, e.new, problems, e.want)
		}
	}
}
