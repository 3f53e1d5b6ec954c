/*
 * Little-endian fields in byte buffers of any alignment: tables and images that others wrote.
 *
 * No bounds here: the caller has checked that the bytes are there.
 */
#pragma once

#include "hv/lib/string.h"
#include "hv/types.h"

static inline uint16_t get_le16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint32_t get_le32(const void *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline uint64_t get_le64(const void *p)
{
	uint64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static inline void put_le16(void *p, uint16_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void put_le32(void *p, uint32_t v)
{
	memcpy(p, &v, sizeof(v));
}

static inline void put_le64(void *p, uint64_t v)
{
	memcpy(p, &v, sizeof(v));
}

/* Do [at, at + len) lie within size bytes? Never wraps. */
static inline bool bytes_within(uint64_t at, uint64_t len, uint64_t size)
{
	return at <= size && len <= size - at;
}

/* -1: none. */
static inline int hex_digit(char c)
{
	if (c >= '0' && c <= '9') {
		return c - '0';
	}
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The sum of n bytes, as ACPI's checksums want it: 0 for a sound table. */
static inline uint8_t bytes_sum(const uint8_t *p, size_t n)
{
	uint8_t sum = 0;

	while (n--) {
		sum = (uint8_t)(sum + *p++);
	}
	return sum;
}
