/* Writes frames that the kernel made for BPF_PROG_RUN with BPF_F_TEST_XDP_LIVE_FRAMES, and sends them out of an
 * interface.
 *
 * A frame is one of a list of images with a destination address, a source port and a number put in.
 * The kernel recycles frames without cleaning them, so the image is written anew every time.
 * The structures are mirrored in src/live/tables.rs.
 */
#include "steer.h"

static __u64 (*const bpf_ktime_get_ns)(void) = (void *)5;
static long (*const bpf_redirect)(__u32 ifindex, __u64 flags) = (void *)23;
static long (*const bpf_xdp_adjust_tail)(struct xdp_md *ctx, int delta) = (void *)65;

enum { HEAD = 160, SECOND = 1000000000 };

struct image {
	__u32 length;	     /* of the frame in bytes */
	__u32 ip_base;	     /* sum of the IPv4 header without checksum and the address's low half */
	__u32 udp_base;	     /* sum of the UDP packet and pseudo header without what is put in */
	__u16 address_at;    /* of the destination address's low 32 bits; 0 in the six below: nothing is put there */
	__u16 ip_sum_at;     /* of the IPv4 header checksum */
	__u16 port_at;	     /* of the UDP source port */
	__u16 udp_sum_at;    /* of the UDP checksum */
	__u16 number_at;     /* of the 48-bit number */
	__u16 outer_port_at; /* of the outer UDP source port */
	__u8 head[HEAD];     /* the frame's first bytes */
};

struct pick {
	__be32 address;
	__be16 port;
	__u16 image;
};

struct state {
	__u64 start_ns; /* monotonic */
	__u64 rate;	/* frames per second; 0: as many as the port takes */
	__u64 limit;	/* frames; 0: no limit */
	__u64 burst;	/* frames due at once, at least 1 */
	__u64 sent;	/* frames handed to the interface */
	__u32 ifindex;
	__u32 longest; /* bytes of a frame as the kernel makes it */
	__u32 picks;
	__u32 next;
};

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, 1); /* set by the loader */
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct image);
} images SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, 1); /* set by the loader */
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct pick);
} picks SEC(".maps");

struct {
	MAP_NUMBER(type, BPF_MAP_TYPE_ARRAY);
	MAP_NUMBER(max_entries, 1);
	MAP_TYPE(key, __u32);
	MAP_TYPE(value, struct state);
} states SEC(".maps");

/* Hides a number's history from the compiler, which else moves the bounds check away from the access. */
#define FRESH(number) asm volatile("" : "+r"(number))

INLINE void put16(void *data, void *end, __u32 at, __u16 value)
{
	__u16 *place;

	FRESH(at);
	at &= 255;
	place = data + at;
	if (at && (void *)(place + 1) <= end)
		*place = value;
}

INLINE void put32(void *data, void *end, __u32 at, __u32 value)
{
	__u32 *place;

	FRESH(at);
	at &= 255;
	place = data + at;
	if (at && (void *)(place + 1) <= end)
		*place = value;
}

/* Internet checksum of sums of 16-bit words, in the words' own byte order; never zero, as UDP wants. */
INLINE __u16 folded(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff ? 0xffff : ~sum & 0xffff;
}

INLINE __u64 halves(__u32 word)
{
	return (word & 0xffff) + (word >> 16);
}

INLINE int is_due(const struct state *state)
{
	__u64 elapsed, seconds, due;

	if (state->limit && state->sent >= state->limit)
		return 0;
	if (!state->rate)
		return 1;
	elapsed = bpf_ktime_get_ns() - state->start_ns;
	/* Not started yet. */
	if (elapsed >> 63)
		return 0;
	seconds = elapsed / SECOND;
	due = seconds * state->rate + (elapsed - seconds * SECOND) * state->rate / SECOND;
	if (state->burst > 1)
		due = due / state->burst * state->burst;
	return state->sent < due;
}

INLINE void write_head(const struct image *image, void *data, void *end)
{
#pragma unroll
	for (int at = 0; at < HEAD; at += 4) {
		if (data + at + 4 <= end)
			*(__u32 *)(data + at) = *(const __u32 *)(image->head + at);
		else if (data + at + 2 <= end)
			*(__u16 *)(data + at) = *(const __u16 *)(image->head + at);
	}
}

INLINE void put_in(const struct image *image, const struct pick *pick, __u64 number, void *data, void *end)
{
	__u16 high = __builtin_bswap16(number >> 32);
	__u32 low = __builtin_bswap32((__u32)number);
	__u64 sum;

	put32(data, end, image->address_at, pick->address);
	if (image->ip_sum_at)
		put16(data, end, image->ip_sum_at, folded(image->ip_base + halves(pick->address)));
	put16(data, end, image->port_at, pick->port);
	put16(data, end, image->outer_port_at, pick->port | BE16(0xc000));
	put16(data, end, image->number_at, high);
	put32(data, end, image->number_at ? image->number_at + 2 : 0, low);
	sum = (__u64)image->udp_base + halves(pick->address) + pick->port + high + halves(low);
	put16(data, end, image->udp_sum_at, folded(sum));
}

SEC("xdp")
int live(struct xdp_md *ctx)
{
	__u32 zero = 0, at;
	struct state *state = bpf_map_lookup_elem(&states, &zero);
	struct pick *pick;
	struct image *image;
	void *data, *end;

	if (!state || !is_due(state))
		return XDP_DROP;
	at = state->next;
	pick = bpf_map_lookup_elem(&picks, &at);
	if (!pick)
		return XDP_DROP;
	at = pick->image;
	image = bpf_map_lookup_elem(&images, &at);
	if (!image)
		return XDP_DROP;
	if (image->length < state->longest && bpf_xdp_adjust_tail(ctx, (int)(image->length - state->longest)))
		return XDP_DROP;
	data = (void *)(long)ctx->data;
	end = (void *)(long)ctx->data_end;
	write_head(image, data, end);
	put_in(image, pick, state->sent, data, end);
	state->next = state->next + 1 < state->picks ? state->next + 1 : 0;
	state->sent += 1;
	return bpf_redirect(state->ifindex, 0);
}

char license_text[] SEC("license") = "Apache-2.0";
