/*
 * Memory and string functions for the freestanding build; see string.h.
 *
 * The mem* functions work in 8-byte words: `rep stosb` and `rep movsb` cost emulators one step per
 * byte, and Zydis clears its state with them at each decode. gcc must not recognise the loops and
 * turn them into calls of the very functions they are.
 */
#include "hv/lib/string.h"
#include "hv/types.h"

#undef memcpy
#undef memmove
#undef memset
#undef memcmp

#define NO_PATTERNS __attribute__((optimize("no-tree-loop-distribute-patterns")))

/* A word that may alias anything and stand anywhere. */
typedef uint64_t word __attribute__((may_alias, aligned(1)));

NO_PATTERNS void *memcpy(void *restrict dst, const void *restrict src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	for (; n >= 8; n -= 8, d += 8, s += 8) {
		*(word *)d = *(const word *)s;
	}
	while (n--) {
		*d++ = *s++;
	}
	return dst;
}

NO_PATTERNS void *memmove(void *dst, const void *src, size_t n)
{
	uint8_t *d = dst;
	const uint8_t *s = src;

	if ((uintptr_t)d - (uintptr_t)s >= n) {
		return memcpy(dst, src, n);
	}
	while (n--) {
		d[n] = s[n];
	}
	return dst;
}

NO_PATTERNS void *memset(void *dst, int c, size_t n)
{
	uint8_t *d = dst;
	uint64_t v = 0x0101010101010101ull * (uint8_t)c;

	for (; n >= 8; n -= 8, d += 8) {
		*(word *)d = v;
	}
	while (n--) {
		*d++ = (uint8_t)c;
	}
	return dst;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const uint8_t *x = a, *y = b;

	for (; n; n--, x++, y++) {
		if (*x != *y) {
			return *x - *y;
		}
	}
	return 0;
}

NO_PATTERNS size_t strlen(const char *s)
{
	size_t n = 0;

	while (s[n]) {
		n++;
	}
	return n;
}

size_t strnlen(const char *s, size_t max)
{
	size_t n = 0;

	while (n < max && s[n]) {
		n++;
	}
	return n;
}

int strcmp(const char *a, const char *b)
{
	while (*a && *a == *b) {
		a++;
		b++;
	}
	return (uint8_t)*a - (uint8_t)*b;
}

int strncmp(const char *a, const char *b, size_t n)
{
	for (; n; n--, a++, b++) {
		if (*a != *b || !*a) {
			return (uint8_t)*a - (uint8_t)*b;
		}
	}
	return 0;
}

char *strchr(const char *s, int c)
{
	for (;; s++) {
		if (*s == (char)c) {
			return (char *)(uintptr_t)s;
		}
		if (!*s) {
			return NULL;
		}
	}
}
