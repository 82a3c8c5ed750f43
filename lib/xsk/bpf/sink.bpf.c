/* What a generator's sink sees: probes go to its sockets, bulk frames are counted here and dropped, all else is
 * the kernel's, so that neighbours still get their answers.
 *
 * A frame's innermost UDP destination port says what it is, behind at most one VLAN tag and one LISP header,
 * or one VXLAN header.
 * The payload of both kinds begins with one byte that names the run, one that names the sender, and a number of
 * 48 bits; that is all that is read of it. The constants are those of src/sink.rs.
 */
#include "steer.h"

enum {
	PROBE_PORT = 8641,
	BULK_PORT = 8642,
	LISP_DATA_PORT = 4341,
	VXLAN_PORT = 4789,
	ETH_IPV4 = 0x0800,
	ETH_IPV6 = 0x86dd,
	ETH_TAG = 0x8100,
	PROTO_UDP = 17,
	/* Queues and senders that are told apart; a power of two each. */
	QUEUES = 16,
	SENDERS = 16,
};

enum verdict { SOCKET_PROBE, DROP_NO_SOCKET, DROP_BULK, DROP_OTHER_RUN, KERNEL_OTHER, VERDICTS };

/* Mirrored by BulkCount in src/sink.rs. */
struct bulk {
	__u64 frames;
	__u64 bytes;
	__u64 late; /* a lower number than one before it, from the same sender on the same queue */
	__u64 next; /* the highest number so far and one */
};

struct lisp {
	__be32 words[2];
};

struct vxlan {
	__be32 words[2];
	struct ethernet inner;
} __attribute__((packed));

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_XSKMAP);
	MAP_NUMBER(max_entries, QUEUES);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} sockets SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, 256); /* QUEUES * SENDERS */
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct bulk);
} bulk SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	MAP_NUMBER(max_entries, VERDICTS);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u64);
} counters SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, __u32);
} run_tag SEC(".maps");

INLINE int end_with(enum verdict why, int action)
{
	__u32 key = why;
	__u64 *counter = bpf_map_lookup_elem(&counters, &key);

	if (counter)
		*counter += 1;
	return action;
}

/* The UDP header of an IP packet, or null: not UDP, a later fragment, IPv6 extension headers, cut off. */
INLINE struct udp *udp_of(void *l3, void *end)
{
	struct ipv4 *v4 = l3;
	struct ipv6 *v6 = l3;
	struct udp *udp;

	if ((void *)(v4 + 1) > end)
		return 0;
	if (v4->version_length >> 4 == 4) {
		if (v4->protocol != PROTO_UDP || v4->fragment & BE16(0x1fff))
			return 0;
		udp = l3 + (v4->version_length & 15) * 4;
	} else {
		if ((void *)(v6 + 1) > end || v6->next_header != PROTO_UDP)
			return 0;
		udp = (void *)(v6 + 1);
	}
	return (void *)(udp + 1) > end ? 0 : udp;
}

INLINE int count_bulk(struct xdp_md *ctx, struct udp *udp, void *end)
{
	__be64 *payload = (void *)(udp + 1);
	__u32 zero = 0, key;
	__u64 word, number;
	__u32 *tag = bpf_map_lookup_elem(&run_tag, &zero);
	struct bulk *bulk_count;

	if ((void *)(payload + 1) > end || !tag)
		return end_with(KERNEL_OTHER, XDP_PASS);
	word = __builtin_bswap64(*payload);
	if (word >> 56 != *tag)
		return end_with(DROP_OTHER_RUN, XDP_DROP);
	key = (ctx->rx_queue_index % QUEUES) * SENDERS + (__u32)(word >> 48) % SENDERS;
	bulk_count = bpf_map_lookup_elem(&bulk, &key);
	if (!bulk_count)
		return end_with(KERNEL_OTHER, XDP_PASS);
	number = word & 0xffffffffffff;
	bulk_count->frames += 1;
	bulk_count->bytes += bpf_xdp_get_buff_len(ctx);
	if (number < bulk_count->next)
		bulk_count->late += 1;
	else
		bulk_count->next = number + 1;
	return end_with(DROP_BULK, XDP_DROP);
}

/* Of a frame in several buffers the first is seen, which has the headers. */
SEC("xdp.frags")
int sink(struct xdp_md *ctx)
{
	struct ethernet *ethernet = (void *)(long)ctx->data;
	void *end = (void *)(long)ctx->data_end;
	void *l3 = ethernet + 1;
	struct tag *tag;
	struct udp *udp;
	__be16 type;

	if (l3 > end)
		return end_with(KERNEL_OTHER, XDP_PASS);
	type = ethernet->type;
	if (type == BE16(ETH_TAG)) {
		tag = l3;
		l3 = tag + 1;
		if (l3 > end)
			return end_with(KERNEL_OTHER, XDP_PASS);
		type = tag->type;
	}
	if (type != BE16(ETH_IPV4) && type != BE16(ETH_IPV6))
		return end_with(KERNEL_OTHER, XDP_PASS);
	udp = udp_of(l3, end);
	if (udp && udp->destination == BE16(LISP_DATA_PORT))
		udp = udp_of((void *)(udp + 1) + sizeof(struct lisp), end);
	else if (udp && udp->destination == BE16(VXLAN_PORT))
		udp = udp_of((void *)(udp + 1) + sizeof(struct vxlan), end);
	if (!udp)
		return end_with(KERNEL_OTHER, XDP_PASS);
	if (udp->destination == BE16(BULK_PORT))
		return count_bulk(ctx, udp, end);
	if (udp->destination != BE16(PROBE_PORT))
		return end_with(KERNEL_OTHER, XDP_PASS);
	if (bpf_redirect_map(&sockets, ctx->rx_queue_index, XDP_DROP) == XDP_REDIRECT)
		return end_with(SOCKET_PROBE, XDP_REDIRECT);
	return end_with(DROP_NO_SOCKET, XDP_DROP);
}

char license_text[] SEC("license") = "Apache-2.0";
