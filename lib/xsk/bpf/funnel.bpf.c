/* Everything that enters comes to the sockets: the interface belongs to whoever loaded this. */
#include "steer.h"

enum {
	QUEUES = 16,
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_XSKMAP);
	MAP_NUMBER(max_entries, QUEUES);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} sockets SEC(".maps");

SEC("xdp")
int funnel(struct xdp_md *ctx)
{
	return bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP);
}

char license_text[] SEC("license") = "Apache-2.0";
