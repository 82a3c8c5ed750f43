/* The few declarations that steer.bpf.c needs, instead of libbpf's headers: one package less to build. */
#pragma once

#include <linux/bpf.h>
#include <linux/types.h>

#define SEC(name) __attribute__((section(name), used))
#define INLINE static inline __attribute__((always_inline))

/* libbpf reads maps from BTF: a member's array length or pointed-to type is the value. */
#define MAP_NUMBER(name, value) int(*name)[value]
#define MAP_TYPE(name, value) typeof(value) *name

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define BE16(x) ((__be16)__builtin_bswap16(x))
#else
#define BE16(x) ((__be16)(x))
#endif

/* Kernel helpers by number, linux/bpf.h. */
static void *(*const bpf_map_lookup_elem)(const void *map, const void *key) = (void *)1;
static long (*const bpf_redirect_map)(const void *map, __u64 key, __u64 flags) = (void *)51;
static __u64 (*const bpf_xdp_get_buff_len)(const struct xdp_md *ctx) = (void *)188;

/* Headers. Packed, since nothing is aligned in a packet with or without a tag. */
struct ethernet {
	__u8 destination[6];
	__u8 source[6];
	__be16 type;
} __attribute__((packed));

struct tag {
	__be16 control;
	__be16 type;
} __attribute__((packed));

struct ipv4 {
	__u8 version_length;
	__u8 dscp_ecn;
	__be16 total_length;
	__be16 id;
	__be16 fragment;
	__u8 ttl;
	__u8 protocol;
	__be16 checksum;
	__be32 source;
	__be32 destination;
} __attribute__((packed));

struct in6 {
	__u8 bytes[16];
};

struct ipv6 {
	__be32 version_class_flow;
	__be16 payload_length;
	__u8 next_header;
	__u8 hop_limit;
	struct in6 source;
	struct in6 destination;
} __attribute__((packed));

struct extension {
	__u8 next_header;
	__u8 length;
} __attribute__((packed));

struct udp {
	__be16 source;
	__be16 destination;
	__be16 length;
	__be16 checksum;
} __attribute__((packed));
