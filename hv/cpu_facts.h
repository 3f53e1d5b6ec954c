/*
 * What each physical CPU is: its place among packages, cores and threads, its model and microcode,
 * and whether it can run guests. The hardware report, the configuration's check against the
 * machine and the warning about shared cores read it.
 *
 * Each CPU fills its own entry once at boot; read-only afterwards, but for `unusable`, which
 * boot/partitions.c fills before anything starts.
 */
#pragma once

#include "hv/host.h"
#include "hv/limits.h"
#include "hv/multihit.h"
#include "hv/refuse.h"

struct cpu_facts {
	uint32_t apic_id;
	unsigned thread_shift;	/* APIC id >> this: one number for all threads of a core */
	unsigned package_shift; /* the same for a package */
	uint32_t signature;	/* CPUID 1 EAX: family, model, stepping */
	uint32_t microcode;	/* revision; 0: the CPU does not say */
	bool other_mtrrs;	/* than the boot CPU: firmware's mistake, memory is slow or worse */
	enum multihit multihit;
	struct refusal unusable; /* why it cannot run guests; empty: it can */
};

extern struct cpu_facts cpu_facts[MAX_CPUS];

/* On the CPU itself. */
void cpu_facts_read(struct cpu_facts *f);

/* AMD's, or Hygon's that are the same. */
bool cpu_is_amd(void);

/*
 * Makes LFENCE wait for all instructions before it, as guests are told that it does and as the TSC
 * check needs. On the CPU itself, where faults of host_rdmsr are caught.
 */
void cpu_make_lfence_serialize(void);

/* AMD's CPUs before Zen: no C1E, in which the LAPIC's timer stands still. On the CPU itself. */
void cpu_stay_out_of_c1e(void);

static inline uint32_t cpu_facts_core(const struct cpu_facts *f)
{
	return f->apic_id >> f->thread_shift;
}

static inline uint32_t cpu_facts_package(const struct cpu_facts *f)
{
	return f->apic_id >> f->package_shift;
}

static inline uint32_t cpu_facts_thread(const struct cpu_facts *f)
{
	return f->apic_id - (cpu_facts_core(f) << f->thread_shift);
}

/* The words of a CPUID leaf, by enum; false, and zeros: this CPU has no such leaf. */
static inline bool cpu_leaf(uint32_t leaf, uint32_t subleaf, uint32_t r[4])
{
	host_cpuid(leaf & 0x80000000, 0, r);
	if (r[EAX] < leaf || (r[EAX] ^ leaf) & 0x80000000) {
		r[EAX] = r[EBX] = r[ECX] = r[EDX] = 0;
		return false;
	}
	host_cpuid(leaf, subleaf, r);
	return true;
}

/*
 * Where this CPU's physical addresses end: a power of two. What firmware says to be beyond
 * cannot be mapped.
 */
static inline uint64_t cpu_address_limit(void)
{
	uint32_t r[4];

	cpu_leaf(0x80000008, 0, r);
	r[EAX] &= 0xff;
	return r[EAX] >= 36 && r[EAX] <= 52 ? BIT(r[EAX]) : BIT(36);
}

/* How many packages or cores `cpus` CPUs are in: `number` is cpu_facts_package or cpu_facts_core. */
unsigned cpu_facts_count(const struct cpu_facts *f, unsigned cpus,
			 uint32_t (*number)(const struct cpu_facts *));

/* What CPUID calls this CPU, without the blanks that pad it; empty: nothing. */
struct cpu_name {
	char text[49];
};
void cpu_facts_name(struct cpu_name *name);
/* Family, model and stepping as the manuals count them (Intel SDM vol. 2 "CPUID", leaf 1). */
unsigned cpu_facts_family(uint32_t signature);
unsigned cpu_facts_model(uint32_t signature);
static inline unsigned cpu_facts_stepping(uint32_t signature)
{
	return signature & 15;
}

struct config;
/*
 * Logs each pair of guests that have threads of one core, with the first such CPUs: they slow each
 * other down, and share the core's caches and buffers.
 */
void cpu_facts_warn_siblings(const struct cpu_facts *f, unsigned cpus, const struct config *c);
