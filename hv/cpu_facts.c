/*
 * What each physical CPU is: see cpu_facts.h. Called by each CPU at boot, by the report and by
 * boot/partitions.c. Everything comes from CPUID and from MSRs that may not exist.
 */
#include "hv/cpu_facts.h"
#include "hv/config.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/msr_index.h"
#include "hv/mtrr.h"

enum { LEAF_TOPOLOGY = 0xb, LEAF_TOPOLOGY_2 = 0x1f, LEVELS_MAX = 8, LEVEL_THREAD = 1 };
enum { ECX_HYPERVISOR = BIT(31) };
enum { ECX_TOPOLOGY_EXTENSIONS = BIT(22), EDX_HTT = BIT(28) };

struct cpu_facts cpu_facts[MAX_CPUS];

bool cpu_is_amd(void)
{
	uint32_t r[4];

	host_cpuid(0, 0, r);
	return r[ECX] == 0x444d4163 || r[ECX] == 0x656e6975; /* "cAMD", "uine" */
}

/*
 * AMD, "Software Techniques for Managing Speculation", names the bit. On AMD's CPUs without the
 * register and on Intel's, LFENCE does it anyway.
 */
void cpu_make_lfence_serialize(void)
{
	enum { LFENCE_SERIALIZES = BIT(1) };
	uint64_t v;

	if (cpu_is_amd() && host_rdmsr(MSR_AMD_DE_CFG, &v) && !(v & LFENCE_SERIALIZES)) {
		host_wrmsr(MSR_AMD_DE_CFG, v | LFENCE_SERIALIZES);
	}
}

/*
 * AMD, "BIOS and Kernel Developer's Guide for AMD Family 10h", Interrupt Pending and CMP-Halt: with
 * either bit, HLT on all cores of a processor leads to C1E.
 */
void cpu_stay_out_of_c1e(void)
{
	enum { SMI_ON_CMP_HALT = BIT(27), C1E_ON_CMP_HALT = BIT(28) };
	const uint64_t c1e = SMI_ON_CMP_HALT | C1E_ON_CMP_HALT;
	uint64_t v;

	if (cpu_is_amd() && host_rdmsr(MSR_AMD_INT_PENDING, &v) && (v & c1e)) {
		host_wrmsr(MSR_AMD_INT_PENDING, v & ~c1e);
	}
}

/* Bits that number n things. */
static unsigned bits_for(unsigned n)
{
	unsigned bits = 0;

	while (bits < 31 && (1u << bits) < n) {
		bits++;
	}
	return bits;
}

/* Intel SDM vol. 2 "CPUID", leaves 0BH and 1FH: a level for the threads, then one or more. */
static bool read_levels(struct cpu_facts *f, uint32_t leaf)
{
	uint32_t r[4];
	unsigned thread = 0, last = 0, n;

	for (n = 0; n < LEVELS_MAX && cpu_leaf(leaf, n, r); n++) {
		unsigned type = r[ECX] >> 8 & 0xff;

		if (!type || !r[EBX]) {
			break;
		}
		last = r[EAX] & 31;
		thread = type == LEVEL_THREAD ? last : thread;
		f->apic_id = r[EDX];
	}
	if (!n || last < thread) {
		return false;
	}
	f->thread_shift = thread;
	f->package_shift = last;
	return true;
}

/* AMD APM vol. 3 "CPUID Fn8000_001E" and "Fn8000_0008". */
static bool read_amd(struct cpu_facts *f)
{
	uint32_t r[4];
	unsigned size;

	if (!cpu_is_amd() || !cpu_leaf(0x80000001, 0, r) || !(r[ECX] & ECX_TOPOLOGY_EXTENSIONS) ||
	    !cpu_leaf(0x8000001e, 0, r)) {
		return false;
	}
	f->apic_id = r[EAX];
	f->thread_shift = bits_for((r[EBX] >> 8 & 0xff) + 1);
	host_cpuid(0x80000008, 0, r);
	size = r[ECX] >> 12 & 15;
	f->package_shift = size ? size : bits_for((r[ECX] & 0xff) + 1);
	if (f->package_shift < f->thread_shift) {
		f->package_shift = f->thread_shift;
	}
	return true;
}

/* Before there were leaves for it: counts in leaf 1, and cores in leaf 4 or 8000_0008. */
static void read_counts(struct cpu_facts *f)
{
	unsigned logical = 1, cores = 1;
	uint32_t r[4];

	host_cpuid(1, 0, r);
	f->apic_id = r[EBX] >> 24;
	logical = r[EDX] & EDX_HTT ? r[EBX] >> 16 & 0xff : 1;
	if (cpu_is_amd()) {
		cpu_leaf(0x80000008, 0, r);
		cores = (r[ECX] & 0xff) + 1;
	} else {
		cpu_leaf(4, 0, r);
		cores = r[EAX] & 31 ? (r[EAX] >> 26) + 1 : 1;
	}
	f->package_shift = bits_for(logical > cores ? logical : cores);
	f->thread_shift = f->package_shift - bits_for(cores);
}

/*
 * Intel SDM vol. 3 "Update Signature and Verification": CPUID puts the revision into the upper
 * half. AMD has it in the lower half at all times.
 */
static uint32_t read_microcode(void)
{
	uint32_t r[4];
	uint64_t v;

	if (cpu_is_amd()) {
		return host_rdmsr(MSR_BIOS_SIGN_ID, &v) ? (uint32_t)v : 0;
	}
	host_wrmsr(MSR_BIOS_SIGN_ID, 0);
	host_cpuid(1, 0, r);
	return host_rdmsr(MSR_BIOS_SIGN_ID, &v) ? (uint32_t)(v >> 32) : 0;
}

void cpu_facts_read(struct cpu_facts *f)
{
	struct mtrr own;
	uint32_t r[4];

	if (!read_levels(f, LEAF_TOPOLOGY_2) && !read_levels(f, LEAF_TOPOLOGY) && !read_amd(f)) {
		read_counts(f);
	}
	host_cpuid(1, 0, r);
	f->signature = r[EAX];
	f->microcode = read_microcode();
	f->multihit = multihit_read();
	mtrr_read(&own);
	/* Virtual machines reset them with every INIT, and mean nothing by them. */
	f->other_mtrrs = !(r[ECX] & ECX_HYPERVISOR) && memcmp(&own, &mtrr_boot, sizeof(own)) != 0;
}

/* --- counting --- */

unsigned cpu_facts_count(const struct cpu_facts *f, unsigned cpus,
			 uint32_t (*number)(const struct cpu_facts *))
{
	unsigned n = 0;

	for (unsigned i = 0; i < cpus; i++) {
		unsigned before = 0;

		while (number(&f[before]) != number(&f[i])) {
			before++;
		}
		n += before == i;
	}
	return n;
}

/* --- names --- */

void cpu_facts_name(struct cpu_name *name)
{
	size_t from = 0, len;
	uint32_t r[4];

	memset(name->text, 0, sizeof(name->text));
	for (uint32_t i = 0; i < 3 && cpu_leaf(0x80000002 + i, 0, r); i++) {
		memcpy(name->text + 16 * i, r, 16);
	}
	for (size_t i = 0; name->text[i]; i++) { /* it goes to terminals */
		name->text[i] = name->text[i] >= ' ' && name->text[i] < 0x7f ? name->text[i] : '?';
	}
	while (name->text[from] == ' ') {
		from++;
	}
	len = strlen(name->text + from);
	while (len && name->text[from + len - 1] == ' ') {
		len--;
	}
	memmove(name->text, name->text + from, len);
	name->text[len] = 0;
}

unsigned cpu_facts_family(uint32_t signature)
{
	unsigned family = signature >> 8 & 15;

	return family == 15 ? family + (signature >> 20 & 0xff) : family;
}

unsigned cpu_facts_model(uint32_t signature)
{
	unsigned family = signature >> 8 & 15, model = signature >> 4 & 15;

	return family == 6 || family == 15 ? model | (signature >> 12 & 0xf0) : model;
}

/* --- threads of one core --- */

static bool share_core(const struct cpu_facts *f, unsigned cpus, const struct config_guest *a,
		       const struct config_guest *b, unsigned *x, unsigned *y)
{
	for (unsigned i = 0; i < a->cpus; i++) {
		for (unsigned j = 0; j < b->cpus; j++) {
			if (a->cpu[i] < cpus && b->cpu[j] < cpus &&
			    cpu_facts_core(&f[a->cpu[i]]) == cpu_facts_core(&f[b->cpu[j]])) {
				*x = a->cpu[i];
				*y = b->cpu[j];
				return true;
			}
		}
	}
	return false;
}

void cpu_facts_warn_siblings(const struct cpu_facts *f, unsigned cpus, const struct config *c)
{
	unsigned x, y;

	for (unsigned i = 0; i < c->guests; i++) {
		for (unsigned j = 0; j < i; j++) {
			const struct config_guest *a = &c->guest[j], *b = &c->guest[i];

			if (share_core(f, cpus, a, b, &x, &y)) {
				log_line("warning: CPU %u of guest '%s' and CPU %u of guest '%s' "
					 "are threads of one core: each slows the other down, and "
					 "may find out what it computes",
					 x, a->name, y, b->name);
			}
		}
	}
}
