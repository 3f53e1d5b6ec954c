/*
 * What a guest's CPU has: this machine's leaves, cut by const masks, with a few words of our own.
 *
 * cpuid_init runs once on the boot CPU; then everything is read-only. See docs/architecture.md for
 * what is hidden and why.
 */
#include "hv/cpu_facts.h"
#include "hv/cpuid_part.h"
#include "hv/host.h"
#include "hv/lib/string.h"
#include "hv/log.h"

uint32_t virt_controls;

struct cpuid_machine cpuid_machine;
static struct cpuid_machine *const m = &cpuid_machine;

/* Bits of a register that a guest may see; `forced` are shown whatever the machine has. */
struct mask {
	uint32_t leaf;
	uint8_t reg;
	uint32_t allow, force;
};

/*
 * Hidden: what needs a device or a table that a guest does not get (performance counters, thermal,
 * debug store, MONITOR, SGX, TXT, PT, CET, AMX, MPX, TSX), and nested virtualization.
 */
static const struct mask masks[] = {
	/* SSE3 PCLMULQDQ SSSE3 FMA CX16 PCID SSE4.1 SSE4.2 MOVBE POPCNT AES XSAVE AVX F16C RDRAND;
	 * x2APIC, TSC-deadline and HYPERVISOR are ours */
	{1, ECX,
	 B(0) | B(1) | B(9) | B(12) | B(13) | B(17) | B(19) | B(20) | B(22) | B(23) | B(25) |
		 B(26) | B(28) | B(29) | B(30),
	 B(21) | B(24) | B(31)},
	/* FPU..CX8, APIC, SEP..CLFSH, MMX..SS; HTT follows the number of vCPUs */
	{1, EDX, R(9, 0) | R(17, 11) | B(19) | R(27, 23), B(9)},
	/* only ARAT: the virtual timer never stops */
	{6, EAX, 0, B(2)},
	{6, EBX, 0, 0},
	{6, ECX, 0, 0}, /* APERF and MPERF count the machine's CPU, not the guest's */
	{6, EDX, 0, 0},
	/* FSGSBASE BMI1 AVX2 FDP SMEP BMI2 ERMS INVPCID, FPU CS/DS, AVX512, RDSEED ADX SMAP,
	 * CLFLUSHOPT CLWB SHA; TSC_ADJUST is ours */
	{7, EBX,
	 B(0) | B(3) | B(5) | R(10, 6) | B(13) | R(21, 16) | R(24, 23) | R(31, 28) | B(26) | B(27),
	 B(1)},
	/* VBMI UMIP PKU, WAITPKG VBMI2, GFNI VAES VPCLMULQDQ VNNI BITALG, VPOPCNTDQ LA57 RDPID
	 * CLDEMOTE MOVDIRI MOVDIR64B */
	{7, ECX,
	 B(1) | B(2) | B(3) | R(6, 5) | R(12, 8) | B(14) | B(16) | B(22) | B(25) | R(28, 27), 0},
	/* 4VNNIW 4FMAPS FSRM VP2INTERSECT MD_CLEAR SERIALIZE FP16; SPEC_CTRL STIBP FLUSH_CMD
	 * ARCH_CAPABILITIES SSBD */
	{7, EDX, R(4, 2) | B(8) | B(10) | B(14) | B(23) | R(29, 26) | B(31), 0},
	/* LAHF, CmpLegacy, CR8, ABM SSE4A misaligned SSE PREFETCHW, XOP, FMA4 TCE, TBM topology */
	{0x80000001, ECX, B(0) | B(1) | R(8, 4) | B(11) | R(17, 16) | B(21) | B(22), 0},
	/* the copies of leaf 1, SYSCALL, NX, MMXEXT, FFXSR, 1 GiB pages, RDTSCP, LM, 3DNow */
	{0x80000001, EDX, R(9, 0) | R(17, 11) | B(20) | R(27, 22) | B(29) | R(31, 30), 0},
	{0x80000007, EAX, 0, 0},
	{0x80000007, EBX, 0, 0},
	{0x80000007, ECX, 0, 0},
	{0x80000007, EDX, 0, 0}, /* invariant TSC: set below when the TSCs run together */
	/* CLZERO XSAVEERPTR WBNOINVD IBPB IBRS STIBP, their always-on hints, SSBD; not VIRT_SSBD,
	 * whose MSR a guest does not have */
	{0x80000008, EDX, 0, 0}, /* RDPRU, INVLPGB */
	{0x80000008, EBX, B(0) | B(2) | B(9) | B(12) | R(19, 14) | B(24) | B(26), 0},
};

/* Leaves copied whole; topology words in them are patched per vCPU. */
static const uint32_t copied[] = {0,	      1,	  2,	      3,	  6,
				  7,	      0x80000000, 0x80000001, 0x80000002, 0x80000003,
				  0x80000004, 0x80000005, 0x80000006, 0x80000007, 0x80000008,
				  0x80000019, 0x8000001a};

/* Features by name: where the guest sees them, and which control they need. */
static const struct {
	uint32_t leaf;
	uint8_t reg, bit;
	uint8_t control; /* enum virt_control, 0: none */
} features[FEATURES] = {
	[FEATURE_X2APIC] = {1, ECX, 21, 0},
	[FEATURE_TSC_DEADLINE] = {1, ECX, 24, 0},
	[FEATURE_RDTSCP] = {0x80000001, EDX, 27, CONTROL_RDTSCP},
	[FEATURE_INVPCID] = {7, EBX, 10, CONTROL_INVPCID},
	[FEATURE_XSAVE] = {1, ECX, 26, 0},
	[FEATURE_XSAVES] = {0xd, EAX, 3, CONTROL_XSAVES},
	[FEATURE_NX] = {0x80000001, EDX, 20, 0},
	[FEATURE_GIB_PAGES] = {0x80000001, EDX, 26, 0},
	[FEATURE_LA57] = {7, ECX, 16, 0},
	[FEATURE_FSGSBASE] = {7, EBX, 0, 0},
	[FEATURE_SMEP] = {7, EBX, 7, 0},
	[FEATURE_SMAP] = {7, EBX, 20, 0},
	[FEATURE_PKU] = {7, ECX, 3, 0},
	[FEATURE_PCID] = {1, ECX, 17, 0},
	[FEATURE_UMIP] = {7, ECX, 2, 0},
	[FEATURE_FFXSR] = {0x80000001, EDX, 25, 0},
	[FEATURE_TCE] = {0x80000001, ECX, 17, 0},
	[FEATURE_SPEC_CTRL] = {7, EDX, 26, 0},
	[FEATURE_IBPB] = {7, EDX, 26, 0},
	[FEATURE_SYSCALL] = {0x80000001, EDX, 11, 0},
	[FEATURE_LONG_MODE] = {0x80000001, EDX, 29, 0},
	[FEATURE_TSC_AUX] = {0x80000001, EDX, 27, 0},
	[FEATURE_ARCH_CAPABILITIES] = {7, EDX, 29, 0},
	[FEATURE_AVX] = {1, ECX, 28, 0},
	[FEATURE_PCE] = {1, EDX, 23, 0}, /* MMX stands in: every CPU with PCE has it */
	[FEATURE_MCE] = {1, EDX, 7, 0},
	[FEATURE_VME] = {1, EDX, 1, 0},
	[FEATURE_PSE] = {1, EDX, 3, 0},
	[FEATURE_PAE] = {1, EDX, 6, 0},
	[FEATURE_DE] = {1, EDX, 2, 0},
	[FEATURE_PGE] = {1, EDX, 13, 0},
	[FEATURE_FXSR] = {1, EDX, 24, 0},
	[FEATURE_SSE] = {1, EDX, 25, 0},
	[FEATURE_TSC] = {1, EDX, 4, 0},
	[FEATURE_FLUSH_CMD] = {7, EDX, 28, 0},
	[FEATURE_WAITPKG] = {7, ECX, 5, CONTROL_WAITPKG},
};

/* Bits outside the list above that also need a control: {leaf, reg, bit, control}. */
static const struct {
	uint32_t leaf;
	uint8_t reg, bit, control;
} needs[] = {
	{7, ECX, 22, CONTROL_RDTSCP}, /* RDPID */
};

static uint32_t *word(uint32_t leaf, unsigned reg)
{
	if (leaf == 0xd) {
		return &m->leafd_1[reg];
	}
	if (leaf >= 0x80000000) {
		return &m->extended[leaf - 0x80000000][reg];
	}
	return &m->basic[leaf][reg];
}

bool cpuid_has(enum cpuid_feature f)
{
	if (f == FEATURE_IBPB && m->amd) {
		return m->extended[8][EBX] & B(12);
	}
	if (f == FEATURE_SPEC_CTRL && m->amd) {
		return m->extended[8][EBX] & (B(14) | B(15) | B(24));
	}
	return (*word(features[f].leaf, features[f].reg) >> features[f].bit) & 1;
}

static void copy_leaves(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(copied); i++) {
		uint32_t leaf = copied[i];
		bool there = leaf & 0x80000000 ? leaf <= m->max_extended : leaf <= m->max_basic;

		if (there && (leaf & 0xff) < BASIC) {
			host_cpuid(leaf, 0, word(leaf, EAX));
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		uint32_t *w = word(masks[i].leaf, masks[i].reg);

		*w = (*w & masks[i].allow) | masks[i].force;
	}
}

static void cut_controls(void)
{
	for (unsigned i = 0; i < FEATURES; i++) {
		if (features[i].control & ~virt_controls) {
			*word(features[i].leaf, features[i].reg) &= ~B(features[i].bit);
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		if (needs[i].control & ~virt_controls) {
			*word(needs[i].leaf, needs[i].reg) &= ~B(needs[i].bit);
		}
	}
}

/* The size of the XSAVE area in standard format with these features on. */
uint64_t cpuid_xsave_size(uint64_t xcr0)
{
	uint64_t size = XSAVE_LEGACY;

	for (unsigned i = 2; i < 63; i++) {
		uint32_t r[4];

		if (xcr0 >> i & 1) {
			host_cpuid(0xd, i, r);
			size = (uint64_t)r[EBX] + r[EAX] > size ? (uint64_t)r[EBX] + r[EAX] : size;
		}
	}
	return size;
}

/* The same in compacted format (Intel SDM vol. 1, "Compacted Format of the Extended Region"). */
uint64_t cpuid_xsavec_size(uint64_t xcr0)
{
	enum { ALIGNED = B(1) };
	uint64_t size = XSAVE_LEGACY;

	for (unsigned i = 2; i < 63; i++) {
		uint32_t r[4];

		if (xcr0 >> i & 1) {
			host_cpuid(0xd, i, r);
			size = (r[ECX] & ALIGNED ? ALIGN_UP(size, 64) : size) + r[EAX];
		}
	}
	return size;
}

/*
 * Quirk xsavec-size (docs/quirks.md): a CPU that contradicts itself about the size of a compacted
 * XSAVE area is not trusted with that format.
 */
static bool xsavec_consistent(void)
{
	uint32_t r[4];

	host_cpuid(0xd, 1, r);
	if (!(r[EAX] & (B(1) | B(3)))) {
		return true;
	}
	host_xcr0_write(m->xcr0_allowed);
	host_cpuid(0xd, 1, r);
	host_xcr0_write(1);
	if (r[EBX] == cpuid_xsavec_size(m->xcr0_allowed)) {
		return true;
	}
	log_line("quirk xsavec-size: this CPU's compacted XSAVE area of %u bytes should have %lu; "
		 "XSAVEC and XSAVES are hidden",
		 r[EBX], cpuid_xsavec_size(m->xcr0_allowed));
	return false;
}

/* x87, SSE, AVX, AVX-512 and PKRU: what an unmodified XSAVE handles without help. */
static void init_xsave(void)
{
	uint32_t r[4];

	memset(m->leafd_1, 0, sizeof(m->leafd_1));
	if (!(m->basic[1][ECX] & B(26)) || m->max_basic < 0xd) {
		m->basic[1][ECX] &= ~(B(26) | B(28));
		return;
	}
	host_cpuid(0xd, 0, r);
	m->xcr0_allowed = r[EAX] & (FIELD(2, 0) | FIELD(7, 5) | BIT(9));
	host_cpuid(0xd, 1, m->leafd_1);
	/* XSAVEOPT XSAVEC XGETBV1 XSAVES */
	m->leafd_1[EAX] &= xsavec_consistent() ? R(3, 0) : B(0) | B(2);
	m->leafd_1[EBX] = m->leafd_1[ECX] = m->leafd_1[EDX] = 0;
}

/*
 * TSC and APIC timer frequencies. Leaf 0x15: the core crystal is the TSC itself, which is also what
 * the virtual APIC timer counts; only Intel's kernels look there.
 */
static void init_clocks(void)
{
	if (host_tsc_reliable) {
		m->extended[7][EDX] |= B(8);
	}
	if (m->amd) {
		m->max_basic = m->max_basic > 0x10 ? 0x10 : m->max_basic;
		return;
	}
	m->max_basic = m->max_basic < 0x15 ? 0x15 : m->max_basic > 0x1f ? 0x1f : m->max_basic;
	if (host_tsc_reliable && host_tsc_hz <= UINT32_MAX) {
		m->basic[0x15][EAX] = 1;
		m->basic[0x15][EBX] = 1;
		m->basic[0x15][ECX] = (uint32_t)host_tsc_hz;
	}
}

void cpuid_init(void)
{
	uint32_t r[4];

	memset(m->basic, 0, sizeof(m->basic));
	memset(m->extended, 0, sizeof(m->extended));
	m->xcr0_allowed = 0;
	host_cpuid(0, 0, r);
	m->max_basic = r[EAX];
	m->amd = r[EBX] == 0x68747541 || r[EBX] == 0x6f677948; /* Auth(enticAMD), Hygo(nGenuine) */
	host_cpuid(0x80000000, 0, r);
	m->max_extended = r[EAX] < 0x80000000 ? 0 : r[EAX] > 0x80000021 ? 0x80000021 : r[EAX];
	copy_leaves();
	host_cpuid(7, 1, m->leaf7_1);
	m->leaf7_1[EAX] &= R(5, 4) | R(12, 10) |
			   B(23); /* AVX-VNNI BF16, FZRM FSRS FSRCS, AVX-IFMA */
	m->leaf7_1[EBX] = m->leaf7_1[ECX] = m->leaf7_1[EDX] = 0;
	init_xsave();
	cut_controls();
	init_clocks();
	m->basic[0][EAX] = m->max_basic;
	m->extended[0][EAX] = m->max_extended;
	if (m->max_basic < 7) {
		memset(m->basic[7], 0, sizeof(m->basic[7]));
	}
}

/* --- CPUs that differ --- */

/* Keeps of *w what is in `own` too, or is ours to show. */
static void meet(uint32_t *w, uint32_t own, uint32_t ours, uint32_t leaf, unsigned reg)
{
	static const char name[4][4] = {"EAX", "EBX", "ECX", "EDX"};
	uint32_t lost = *w & ~(own | ours);

	if (lost) {
		log_line("CPU %u lacks CPUID 0x%x %s 0x%x, which other CPUs have; no guest sees it",
			 host_cpu(), leaf, name[reg], lost);
		*w &= ~lost;
	}
}

void cpuid_meet(void)
{
	unsigned bits = cpuid_maxphyaddr();
	uint32_t r[4];

	for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
		if (masks[i].leaf != 0x80000007) { /* whether the TSC is invariant was measured */
			cpu_leaf(masks[i].leaf, 0, r);
			meet(word(masks[i].leaf, masks[i].reg), r[masks[i].reg], masks[i].force,
			     masks[i].leaf, masks[i].reg);
		}
	}
	cpu_leaf(7, 1, r);
	meet(&m->leaf7_1[EAX], r[EAX], 0, 7, EAX);
	cpu_leaf(0xd, 1, r);
	meet(&m->leafd_1[EAX], r[EAX], 0, 0xd, EAX);
	cpu_leaf(0xd, 0, r);
	m->xcr0_allowed &= (uint64_t)r[EDX] << 32 | r[EAX];
	cpu_leaf(0x80000008, 0, r);
	if ((r[EAX] & 0xff) < bits) {
		m->extended[8][EAX] = (m->extended[8][EAX] & ~0xffu) | (r[EAX] & 0xff);
	}
}

unsigned cpuid_maxphyaddr(void)
{
	unsigned bits = m->extended[8][EAX] & 0xff;

	return bits ? bits : 36;
}

uint64_t cpuid_xcr0_allowed(void)
{
	return m->xcr0_allowed;
}
