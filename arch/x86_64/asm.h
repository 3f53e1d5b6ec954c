/*
 * One-instruction wrappers: the only place, with the entry stubs, where C speaks assembly.
 */
#pragma once

#include "hv/types.h"

/* What LGDT, LIDT and their opposites take. */
struct __attribute__((packed)) table_register {
	uint16_t limit;
	uint64_t base;
};

static inline uint64_t rdtsc(void)
{
	uint32_t lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t lo, hi;
	__asm__ volatile("rdmsr" : "=a"(lo), "=d"(hi) : "c"(msr) : "memory");
	return (uint64_t)hi << 32 | lo;
}

static inline void wrmsr(uint32_t msr, uint64_t v)
{
	__asm__ volatile("wrmsr"
			 :
			 : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(msr)
			 : "memory");
}

static inline void cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(subleaf));
}

#define DEFINE_PORT(bits, type)                                                                    \
	static inline type in##bits(uint16_t port)                                                 \
	{                                                                                          \
		type v;                                                                            \
		__asm__ volatile("in %1, %0" : "=a"(v) : "Nd"(port));                              \
		return v;                                                                          \
	}                                                                                          \
	static inline void out##bits(uint16_t port, type v)                                        \
	{                                                                                          \
		__asm__ volatile("out %0, %1" : : "a"(v), "Nd"(port));                             \
	}
DEFINE_PORT(8, uint8_t)
DEFINE_PORT(16, uint16_t)
DEFINE_PORT(32, uint32_t)
#undef DEFINE_PORT

#define DEFINE_REG(name)                                                                           \
	static inline uint64_t read_##name(void)                                                   \
	{                                                                                          \
		uint64_t v;                                                                        \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(v) : : "memory");                    \
		return v;                                                                          \
	}                                                                                          \
	static inline void write_##name(uint64_t v)                                                \
	{                                                                                          \
		__asm__ volatile("mov %0, %%" #name : : "r"(v) : "memory");                        \
	}
DEFINE_REG(cr0)
DEFINE_REG(cr2)
DEFINE_REG(cr3)
DEFINE_REG(cr4)
DEFINE_REG(dr0)
DEFINE_REG(dr1)
DEFINE_REG(dr2)
DEFINE_REG(dr3)
DEFINE_REG(dr6)
DEFINE_REG(dr7)
#undef DEFINE_REG

static inline void cli(void)
{
	__asm__ volatile("cli" : : : "memory");
}

static inline void sti(void)
{
	__asm__ volatile("sti" : : : "memory");
}

/* Writes back and empties all caches of this CPU. */
static inline void wbinvd(void)
{
	__asm__ volatile("wbinvd" : : : "memory");
}

/* Writes the cache lines of n bytes at p back to memory. */
static inline void clflush(const void *p, size_t n)
{
	enum { LINE = 64 /* the least that any x86 CPU has */ };
	const char *end = (const char *)p + n;

	for (const char *at = (const char *)ALIGN_DOWN((uint64_t)p, LINE); at < end; at += LINE) {
		__asm__ volatile("clflush %0" : : "m"(*at) : "memory");
	}
}

/* Stores before it are seen before stores after it; and write-combining buffers are emptied. */
static inline void sfence(void)
{
	__asm__ volatile("sfence" : : : "memory");
}

static inline void pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static inline void xsetbv(uint32_t index, uint64_t v)
{
	__asm__ volatile("xsetbv" : : "a"((uint32_t)v), "d"((uint32_t)(v >> 32)), "c"(index));
}

static inline uint64_t xgetbv(uint32_t index)
{
	uint32_t lo, hi;
	__asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(index));
	return (uint64_t)hi << 32 | lo;
}
