/* Decides which frames go to Sterna's sockets and which go to the kernel as if Sterna were not there.
 *
 * It decides where a frame goes and nothing else; whether a packet is right is the dataplane's question.
 * Rloc-side: unfragmented UDP to port 4341 of one of our addresses comes to us, all else is the kernel's.
 * Eid-side: ARP and neighbour discovery, and IP packets in transit, come to us; the rest is the kernel's.
 * Each frame that enters adds one to exactly one counter of its port; the order of the verdicts is that of
 * src/steering/verdict.rs.
 */
#include "steer.h"

enum verdict {
	SOCKET_LISP,
	SOCKET_TRANSIT,
	SOCKET_NEIGHBOUR,
	KERNEL_LOCAL,
	KERNEL_FRAGMENT,
	KERNEL_OTHER_ADDRESS,
	KERNEL_OTHER_MAC,
	KERNEL_MULTICAST,
	KERNEL_NOT_IP,
	KERNEL_TAGS,
	KERNEL_MALFORMED,
	KERNEL_NO_WORKER,
	DROP_NO_WORKER,
	VERDICTS,
};

enum side { SIDE_EID = 1, SIDE_RLOC = 2, SIDE_BOTH = 3 };

enum {
	ETH_ARP = 0x0806,
	ETH_IPV4 = 0x0800,
	ETH_IPV6 = 0x86dd,
	ETH_TAG = 0x8100,
	ETH_OUTER_TAG = 0x88a8,
	PROTO_HOP_BY_HOP = 0,
	PROTO_UDP = 17,
	PROTO_ROUTING = 43,
	PROTO_FRAGMENT = 44,
	PROTO_ICMPV6 = 58,
	PROTO_DESTINATION = 60,
	LISP_DATA_PORT = 4341,
	/* More than this before UDP is nothing that a LISP gateway sends. */
	EXTENSIONS_MAX = 6,
	ND_FIRST = 133,
	ND_LAST = 137,
};

/* Mirrored by PortEntry in src/steering/maps.rs. */
struct port {
	__u32 key_base;	   /* of this port's queues in `sockets` */
	__u32 queues;	   /* how many there are */
	__u32 counter_base; /* of this port's verdicts in `counters` */
	__u8 side;
	__u8 eid_miss;	/* what happens when no worker has the queue: XDP_DROP or XDP_PASS */
	__u8 rloc_miss;
	__u8 mac[6];
	__u8 pad[3];
};

struct mac_key {
	__u32 ifindex;
	__u8 mac[6];
	__u8 pad[2];
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, 1); /* set by the loader */
	MAP_TYPE(key, __u32);	    /* ifindex */
	MAP_TYPE(value, struct port);
} ports SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_XSKMAP);
	MAP_NUMBER(max_entries, 1); /* set by the loader */
	MAP_TYPE(key, __u32);	    /* port's key_base + queue */
	MAP_TYPE(value, __u32);
} sockets SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, VERDICTS); /* times the ports, set by the loader */
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
} counters SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, 1024);
	MAP_TYPE(key, __be32);
	MAP_TYPE(value, __u8);
} local_v4 SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, 1024);
	MAP_TYPE(key, struct in6);
	MAP_TYPE(value, __u8);
} local_v6 SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_HASH);
	MAP_NUMBER(max_entries, 16384);
	MAP_TYPE(key, struct mac_key);
	MAP_TYPE(value, __u8);
} macs SEC(".maps");

/* What is known of a frame once its Ethernet header is read. */
struct frame {
	struct xdp_md *ctx;
	const struct port *port;
	const struct ethernet *ethernet;
	void *l3;
	void *end;
	__be16 type;
	__u8 tagged;
};

INLINE void count(const struct port *port, __u32 verdict)
{
	__u32 key = port->counter_base + verdict;
	__u64 *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		*counter += 1;
}

INLINE int to_kernel(const struct frame *frame, enum verdict why)
{
	count(frame->port, why);
	return XDP_PASS;
}

INLINE int to_socket(const struct frame *frame, enum verdict why, __u32 miss)
{
	__u32 queue = frame->ctx->rx_queue_index;
	int action = miss;

	/* A lookup that finds no socket gives back `miss`. */
	if (queue < frame->port->queues)
		action = bpf_redirect_map(&sockets, frame->port->key_base + queue, miss);
	if (action == XDP_REDIRECT)
		count(frame->port, why);
	else
		count(frame->port, action == XDP_PASS ? KERNEL_NO_WORKER : DROP_NO_WORKER);
	return action;
}

INLINE int is_for_us(const struct frame *frame)
{
	const __u8 *to = frame->ethernet->destination;
	const __u8 *own = frame->port->mac;
	struct mac_key key = {};

	if (to[0] == own[0] && to[1] == own[1] && to[2] == own[2] && to[3] == own[3] && to[4] == own[4] &&
	    to[5] == own[5])
		return 1;
	key.ifindex = frame->ctx->ingress_ifindex;
	__builtin_memcpy(key.mac, to, sizeof(key.mac));
	return bpf_map_lookup_elem(&macs, &key) != 0;
}

/* The IPv4 header, or null when there is none. */
INLINE struct ipv4 *ipv4_of(const struct frame *frame)
{
	struct ipv4 *ip = frame->l3;

	if ((void *)(ip + 1) > frame->end || ip->version_length >> 4 != 4 || (ip->version_length & 15) < 5)
		return 0;
	return ip;
}

INLINE struct ipv6 *ipv6_of(const struct frame *frame)
{
	struct ipv6 *ip = frame->l3;

	if ((void *)(ip + 1) > frame->end || *(__u8 *)ip >> 4 != 6)
		return 0;
	return ip;
}

INLINE int is_local_v4(const struct ipv4 *ip)
{
	__be32 key = ip->destination;

	return bpf_map_lookup_elem(&local_v4, &key) != 0;
}

INLINE int is_local_v6(const struct ipv6 *ip)
{
	struct in6 key = ip->destination;

	return bpf_map_lookup_elem(&local_v6, &key) != 0;
}

/* To one of our addresses, and `l4` should be a UDP header. */
INLINE int rloc_udp(const struct frame *frame, void *l4)
{
	struct udp *udp = l4;

	if ((void *)(udp + 1) > frame->end)
		return to_kernel(frame, KERNEL_MALFORMED);
	if (udp->destination != BE16(LISP_DATA_PORT))
		return to_kernel(frame, KERNEL_LOCAL);
	return to_socket(frame, SOCKET_LISP, frame->port->rloc_miss);
}

INLINE int rloc_ipv4(const struct frame *frame, struct ipv4 *ip)
{
	/* More fragments to come, or not the first: the kernel reassembles. */
	if (ip->fragment & BE16(0x3fff))
		return to_kernel(frame, KERNEL_FRAGMENT);
	if (ip->protocol != PROTO_UDP)
		return to_kernel(frame, KERNEL_LOCAL);
	return rloc_udp(frame, (void *)ip + (ip->version_length & 15) * 4);
}

INLINE int rloc_ipv6(const struct frame *frame, struct ipv6 *ip)
{
	__u8 next = ip->next_header;
	void *at = ip + 1;

#pragma unroll
	for (int i = 0; i < EXTENSIONS_MAX; i++) {
		struct extension *extension = at;

		if (next != PROTO_HOP_BY_HOP && next != PROTO_ROUTING && next != PROTO_DESTINATION)
			break;
		if ((void *)(extension + 1) > frame->end)
			return to_kernel(frame, KERNEL_MALFORMED);
		next = extension->next_header;
		at += (extension->length + 1) * 8;
	}
	if (next == PROTO_FRAGMENT)
		return to_kernel(frame, KERNEL_FRAGMENT);
	if (next != PROTO_UDP)
		return to_kernel(frame, KERNEL_LOCAL);
	return rloc_udp(frame, at);
}

INLINE int rloc_side(const struct frame *frame)
{
	struct ipv4 *v4;
	struct ipv6 *v6;

	if (frame->type != BE16(ETH_IPV4) && frame->type != BE16(ETH_IPV6))
		return to_kernel(frame, KERNEL_NOT_IP);
	if (frame->ethernet->destination[0] & 1)
		return to_kernel(frame, KERNEL_MULTICAST);
	if (!is_for_us(frame))
		return to_kernel(frame, KERNEL_OTHER_MAC);
	if (frame->type == BE16(ETH_IPV4)) {
		v4 = ipv4_of(frame);
		if (!v4)
			return to_kernel(frame, KERNEL_MALFORMED);
		if (!is_local_v4(v4))
			return to_kernel(frame, KERNEL_OTHER_ADDRESS);
		return rloc_ipv4(frame, v4);
	}
	v6 = ipv6_of(frame);
	if (!v6)
		return to_kernel(frame, KERNEL_MALFORMED);
	if (!is_local_v6(v6))
		return to_kernel(frame, KERNEL_OTHER_ADDRESS);
	return rloc_ipv6(frame, v6);
}

INLINE int is_neighbour_discovery(const struct frame *frame)
{
	struct ipv6 *ip = ipv6_of(frame);
	__u8 *type;

	if (!ip || ip->next_header != PROTO_ICMPV6)
		return 0;
	type = (void *)(ip + 1);
	return (void *)(type + 1) <= frame->end && *type >= ND_FIRST && *type <= ND_LAST;
}

INLINE int eid_side(const struct frame *frame)
{
	struct ipv4 *v4;
	struct ipv6 *v6;
	int local;

	if (frame->type == BE16(ETH_ARP))
		return to_socket(frame, SOCKET_NEIGHBOUR, frame->port->eid_miss);
	if (frame->type == BE16(ETH_IPV6) && is_neighbour_discovery(frame))
		return to_socket(frame, SOCKET_NEIGHBOUR, frame->port->eid_miss);
	if (frame->type != BE16(ETH_IPV4) && frame->type != BE16(ETH_IPV6))
		return to_kernel(frame, KERNEL_NOT_IP);
	if (frame->ethernet->destination[0] & 1)
		return to_kernel(frame, KERNEL_MULTICAST);
	if (!is_for_us(frame))
		return to_kernel(frame, KERNEL_OTHER_MAC);
	if (frame->type == BE16(ETH_IPV4)) {
		v4 = ipv4_of(frame);
		if (!v4)
			return to_kernel(frame, KERNEL_MALFORMED);
		local = is_local_v4(v4);
	} else {
		v6 = ipv6_of(frame);
		if (!v6)
			return to_kernel(frame, KERNEL_MALFORMED);
		local = is_local_v6(v6);
	}
	if (local)
		return to_kernel(frame, KERNEL_LOCAL);
	return to_socket(frame, SOCKET_TRANSIT, frame->port->eid_miss);
}

/* A port that carries both sides: untagged is rloc-side; tagged is eid-side, but for our own addresses. */
INLINE int both_sides(const struct frame *frame)
{
	struct ipv4 *v4;
	struct ipv6 *v6;

	if (!frame->tagged)
		return rloc_side(frame);
	if (frame->type == BE16(ETH_IPV4)) {
		v4 = ipv4_of(frame);
		if (v4 && is_local_v4(v4))
			return rloc_side(frame);
	} else if (frame->type == BE16(ETH_IPV6)) {
		v6 = ipv6_of(frame);
		if (v6 && is_local_v6(v6) && !is_neighbour_discovery(frame))
			return rloc_side(frame);
	}
	return eid_side(frame);
}

SEC("xdp")
int steer(struct xdp_md *ctx)
{
	struct frame frame = { .ctx = ctx };
	__u32 ifindex = ctx->ingress_ifindex;
	struct tag *tag;

	frame.port = bpf_map_lookup_elem(&ports, &ifindex);
	if (!frame.port)
		return XDP_PASS;
	frame.ethernet = (void *)(long)ctx->data;
	frame.end = (void *)(long)ctx->data_end;
	frame.l3 = (void *)(frame.ethernet + 1);
	if (frame.l3 > frame.end)
		return to_kernel(&frame, KERNEL_MALFORMED);
	frame.type = frame.ethernet->type;
	if (frame.type == BE16(ETH_TAG)) {
		tag = frame.l3;
		frame.l3 = tag + 1;
		if (frame.l3 > frame.end)
			return to_kernel(&frame, KERNEL_MALFORMED);
		frame.type = tag->type;
		frame.tagged = 1;
	}
	/* One tag is understood; what has two is not ours. */
	if (frame.type == BE16(ETH_TAG) || frame.type == BE16(ETH_OUTER_TAG))
		return to_kernel(&frame, KERNEL_TAGS);
	if (frame.port->side == SIDE_EID)
		return eid_side(&frame);
	if (frame.port->side == SIDE_RLOC)
		return rloc_side(&frame);
	return both_sides(&frame);
}

char license_text[] SEC("license") = "Apache-2.0";
