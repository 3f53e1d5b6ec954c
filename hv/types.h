/*
 * Address types and bit helpers, used by every room.
 *
 * A guest-physical, a host-physical and a guest-virtual address are different things; each is a
 * one-field struct, so that the compiler refuses to mix them. There is no cast between them: only
 * addrspace.h turns a gpa into memory, and only gwalk.h turns a gva into a gpa.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
	uint64_t v;
} gpa_t; /* guest-physical address */

typedef struct {
	uint64_t v;
} hpa_t; /* host-physical address */

typedef struct {
	uint64_t v;
} gva_t; /* guest-virtual (linear) address */

static inline gpa_t gpa(uint64_t v)
{
	return (gpa_t){v};
}

static inline hpa_t hpa(uint64_t v)
{
	return (hpa_t){v};
}

static inline gva_t gva(uint64_t v)
{
	return (gva_t){v};
}

#define KIB(n) ((uint64_t)(n) << 10)
#define MIB(n) ((uint64_t)(n) << 20)
#define GIB(n) ((uint64_t)(n) << 30)

#define PAGE_SHIFT 12
#define PAGE_SIZE  4096u
#define PAGE_MASK  ((uint64_t)PAGE_SIZE - 1)
#define PAGE_2M	   MIB(2)
#define PAGE_1G	   GIB(1)

#define BIT(n) (1ull << (n))
/* Mask of the bits hi..lo, both included, as the manuals print a field. */
#define FIELD(hi, lo) ((~0ull >> (63 - (hi))) & (~0ull << (lo)))

/* The value of a field: field_get(FIELD(7, 4), 0xa5) == 0xa. */
static inline uint64_t field_get(uint64_t mask, uint64_t v)
{
	return (v & mask) / (mask & (~mask + 1));
}

/* A value placed in a field; bits that do not fit are dropped. */
static inline uint64_t field_put(uint64_t mask, uint64_t v)
{
	return (v * (mask & (~mask + 1))) & mask;
}

#define ARRAY_SIZE(a)	(sizeof(a) / sizeof((a)[0]))
#define ALIGN_DOWN(v, a) ((v) & ~((a)-1))
#define ALIGN_UP(v, a)	(((v) + (a)-1) & ~((a)-1))

#define PRINTF_LIKE(fmt, first) __attribute__((format(printf, fmt, first)))
/* A slow or large part, whose frame others need not pay for. */
#define NOINLINE		__attribute__((noinline))
#define NORETURN		__attribute__((noreturn))
