package deploy

const label = "app.kubernetes.io/name: caddy-huma"

// mistakes are edits that the API server accepts, but that break a promise.
var mistakes = []edit{
	{"networkpolicy.yaml", label, "app: caddy-huma", "NetworkPolicy does not select"},
	{"networkpolicy.yaml", "matchLabels:\n      " + label, "{}", "NetworkPolicy does not select"},
	{"poddisruptionbudget.yaml", label, "app: caddy-huma", "PodDisruptionBudget does not select"},
	{"service.yaml", label, "app: caddy-huma", "Service does not select"},
	{"deployment.yaml", label + "\n          # During", "app: caddy-huma\n          # During", "topologySpreadConstraints does not select"},

	{"service.yaml", "targetPort: http", "targetPort: https", "Service has the unknown port"},
	{"networkpolicy.yaml", "port: metrics", "port: prometheus", "NetworkPolicy has the unknown port"},
	{"deployment.yaml", "port: http\n", "port: https\n", "livenessProbe has an unknown port"},
	{"Caddyfile", "http://:8080", "http://:8081", "no site has the port 8080"},
	{"deployment.yaml", "containerPort: 9180", "containerPort: 9181", "no site has the port 9181"},

	{"Caddyfile", "127.0.0.1:2019", "0.0.0.0:2019", "admin endpoint listens"},
	{"deployment.yaml", "containerPort: 9180", "containerPort: 2019", "container has the admin port"},
	{"service.yaml", "targetPort: http", "targetPort: 2019", "Service has the admin port"},
	{"service.yaml", "targetPort: http", "targetPort: metrics", "Service has the metrics"},
	{"service.yaml", "spec:", "spec:\n  type: LoadBalancer", "Service is of type"},
	{"networkpolicy.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: [Egress]", "does not limit incoming"},
	{"networkpolicy.yaml", "    - from:", "    - {}\n    - from:", "admits all clients"},
	{"networkpolicy.yaml", "      ports:\n        - port: http\n", "", "opens all ports"},
	{"networkpolicy.yaml", "port: http\n", "port: 2019\n", "opens the admin port"},
	{"networkpolicy.yaml", "port: http\n", "port: 2000\n          endPort: 9000\n", "opens the admin port"},

	{"networkpolicy.yaml", "policyTypes: [Ingress, Egress]", "policyTypes: [Ingress]", "does not limit outgoing"},
	{"networkpolicy.yaml", "  egress:", "  egress:\n    - {}", "allows all outgoing"},
	{"networkpolicy.yaml", "169.254.0.0/16, ", "", "metadata service"},
	{"networkpolicy.yaml", "port: 6379", "port: 6380", "does not allow TCP/6379"},
	{"networkpolicy.yaml", "port: 443", "port: 80", "outgoing connections to the port 80"},
	{"networkpolicy.yaml", "protocol: UDP", "protocol: SCTP", "does not allow UDP/53"},

	{"deployment.yaml", "secretName: caddy-huma", "secretName: huma", "has the Secret huma"},
	{"deployment.yaml", "configMap:\n            name: caddy-huma", "configMap:\n            name: caddy", "has the ConfigMap caddy"},
	{"kustomization.yaml", "configMapGenerator:", "generatorOptions:\n  disableNameSuffixHash: true\nconfigMapGenerator:", "has the ConfigMap caddy-huma"},
	{"deployment.yaml", "defaultMode: 0440", "defaultMode: 0444", "have the mode 444"},
	{"deployment.yaml", "mountPath: /etc/huma", "mountPath: /etc/huma/secret\n              subPath: secret", "with subPath"},
	{"deployment.yaml", "mountPath: /etc/caddy", "mountPath: /etc/caddyfile", "Caddyfile is not mounted"},
	{"Caddyfile", "/etc/huma/redis-key", "/etc/huma/redis-key-1", "no Secret has the file"},
	{"kustomization.yaml", "      - redis-key\n", "", "no Secret has the file /etc/huma/redis-key"},

	{"deployment.yaml", "ports:", "envFrom:\n            - secretRef: { name: caddy-huma }\n          ports:", "has envFrom"},
	{"deployment.yaml", "ports:", "env:\n            - name: SECRET\n              valueFrom: { secretKeyRef: { name: caddy-huma, key: secret } }\n          ports:", "is a secret in the environment"},
	{"deployment.yaml", "ports:", "env:\n            - { name: SECRET, value: canary-secret }\n          ports:", "a secret is in the Deployment"},
	{"Caddyfile", "{file./etc/huma/secret}", "canary-secret", "the option secret is not a file"},
	{"Caddyfile", "{file./etc/huma/redis-password}", "canary-password", "a secret is in the ConfigMap"},

	{"deployment.yaml", "automountServiceAccountToken: false", "automountServiceAccountToken: true", "token of the API server"},
	{"deployment.yaml", "enableServiceLinks: false", "enableServiceLinks: true", "environment variables of Services"},
	{"deployment.yaml", "runAsUser: 65532", "runAsUser: 1000", "runAsUser is not the user"},
	{"deployment.yaml", "runAsGroup: 65532", "runAsGroup: 1000", "runAsGroup is not the user"},
	{"deployment.yaml", "fsGroup: 65532", "fsGroup: 1000", "fsGroup is not the user"},
	{"deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: false", "can write to its root"},
	{"deployment.yaml", "readOnlyRootFilesystem: true", "readOnlyRootFilesystem: true\n            runAsUser: 1000", "runs as another user"},
	{"deployment.yaml", "            limits:\n              memory: 384Mi\n", "", "has no limit of memory"},
	{"kustomization.yaml", "newTag: 0.1.0", "newTag: latest", "has the image"},
	{"deployment.yaml", "      containers:", "      initContainers:\n        - name: copy\n          image: registry.example.com/copy\n          securityContext:\n            allowPrivilegeEscalation: false\n            capabilities: { drop: [ALL] }\n      containers:", "copy can write to its root"},

	{"deployment.yaml", "exec:\n              command: [caddy, huma, health]\n            periodSeconds: 1\n", "tcpSocket: { port: http }\n            periodSeconds: 1\n", "startupProbe does not"},
	{"deployment.yaml", "exec:\n              command: [caddy, huma, health]\n            periodSeconds: 10\n", "tcpSocket: { port: http }\n            periodSeconds: 10\n", "readinessProbe does not"},
	{"deployment.yaml", "periodSeconds: 10\n            timeoutSeconds: 5", "periodSeconds: 10", "too little time"},
	{"deployment.yaml", "terminationGracePeriodSeconds: 40", "terminationGracePeriodSeconds: 30", "Caddy needs 37s"},
	{"Caddyfile", "shutdown_delay 10s", "shutdown_delay 30s", "Caddy needs 57s"},
	{"deployment.yaml", "maxUnavailable: 0", "maxUnavailable: 1", "a rollout stops a pod"},
	{"deployment.yaml", "replicas: 2", "replicas: 1", "1 of 1 pods may be evicted"},
	{"poddisruptionbudget.yaml", "maxUnavailable: 1", "maxUnavailable: 0", "0 of 2 pods may be evicted"},
}
