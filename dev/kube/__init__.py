"""A simulated Kubernetes API server: many clusters in one process, no cluster needed.

It exists so that the demo, the tests and a fleet of agents run on one machine. Real `helm`,
`kubectl`, the `kubernetes` client and kopf talk to it unmodified: discovery, OpenAPI, list and
watch, every kind of patch, server-side apply with managed fields, custom resources, finalizers,
garbage collection. A small controller stands for the kubelet, the scheduler and the workload
controllers: workloads become ready after a delay that can be set, and never when the name or the
tag of an image is `broken`.

What it does not do, and does not pretend to do:

* the cluster's own token is of `system:masters` and may do everything; RBAC holds for service
  accounts, by their tokens or impersonated, with short `admin`, `edit` and `view`, not aggregated;
* no admission: webhooks and admission policies are stored and never called, quotas and limit
  ranges are stored and never enforced, CEL rules of custom resources are not evaluated;
* no conversion of custom resources between versions beyond renaming `apiVersion`;
* no scheduler (pods go round the nodes in turn), no kubelet: no containers run, so `exec`,
  `logs`, `attach`, `port-forward` and `proxy` do not exist, probes are not made, and a Job's pod
  succeeds without having done its work;
* no network: a Service has an address that nothing listens on;
* CronJobs never fire, HorizontalPodAutoscalers never scale, ResourceQuotas never count;
* no CBOR and no HTTP/2; protobuf is read (for the kinds that `helm` and `kubectl` send), never
  written.
"""
