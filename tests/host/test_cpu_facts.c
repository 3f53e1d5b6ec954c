/*
 * The place of a CPU among packages, cores and threads, from each form in which CPUID tells it, and
 * the warning about guests that share a core.
 */
#define host_cpuid machine_cpuid
#define host_rdmsr machine_rdmsr
#define host_wrmsr machine_wrmsr
#include "hv/cpu_facts.c"
#include "hv/mtrr.c"
#include "hv/multihit.c"
#include "hv/speculation.c"

#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

static struct {
	uint32_t leaf, subleaf, out[4];
} answer[32];
static unsigned answers;
static uint64_t sign_id, capabilities;
static bool sign_id_there, sign_id_cleared;
static uint64_t mtrr_default;
static uint64_t de_cfg;
static bool de_cfg_there;
static unsigned de_cfg_writes;
enum { RESERVED = 0x80 };
static char commands[100]; /* writes of the registers against speculation, as text */
static uint64_t int_pending;
static bool int_pending_there;
static unsigned int_pending_writes;

void machine_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	memset(out, 0, 16);
	for (unsigned i = 0; i < answers; i++) {
		if (answer[i].leaf == leaf && answer[i].subleaf == subleaf) {
			memcpy(out, answer[i].out, 16);
		}
	}
}

bool machine_rdmsr(uint32_t msr, uint64_t *value)
{
	switch (msr) {
	case MSR_BIOS_SIGN_ID: *value = sign_id; return sign_id_there;
	case MSR_ARCH_CAPABILITIES: *value = capabilities; return true;
	case MSR_MTRRCAP: *value = 0; return true;
	case MSR_MTRR_DEF_TYPE: *value = mtrr_default; return true;
	case MSR_AMD_DE_CFG: *value = de_cfg; return de_cfg_there;
	case MSR_AMD_INT_PENDING: *value = int_pending; return int_pending_there;
	default: *value = 0; return false;
	}
}

bool machine_wrmsr(uint32_t msr, uint64_t value)
{
	if (msr == MSR_AMD_DE_CFG) {
		de_cfg_writes++;
		de_cfg = value;
		return true;
	}
	if (msr == MSR_SPEC_CTRL || msr == MSR_PRED_CMD || msr == MSR_FLUSH_CMD) {
		size_t len = strlen(commands);

		snprintf(commands + len, sizeof(commands) - len, "%x=%x ", msr, (unsigned)value);
		return value != RESERVED;
	}
	if (msr == MSR_AMD_INT_PENDING) {
		int_pending_writes++;
		int_pending = value;
		return true;
	}
	sign_id_cleared |= msr == MSR_BIOS_SIGN_ID && !value;
	return sign_id_there;
}

static void says(uint32_t leaf, uint32_t subleaf, uint32_t a, uint32_t b, uint32_t c, uint32_t d)
{
	answer[answers].leaf = leaf;
	answer[answers].subleaf = subleaf;
	memcpy(answer[answers++].out, (uint32_t[4]){a, b, c, d}, 16);
}

static void vendor(bool amd, uint32_t max, uint32_t max_extended)
{
	memset(answer, 0, sizeof(answer));
	answers = 0;
	sign_id = capabilities = 0;
	sign_id_there = sign_id_cleared = false;
	commands[0] = 0;
	fake_log_reset();
	says(0, 0, max, 0, amd ? 0x444d4163 : 0x6c65746e, 0);
	says(0x80000000, 0, max_extended, 0, 0, 0);
}

static struct cpu_facts read_facts(void)
{
	struct cpu_facts f = {0};

	cpu_facts_read(&f);
	return f;
}

static void check_place(uint32_t package, uint32_t core, uint32_t thread)
{
	struct cpu_facts f = read_facts();

	CHECK_EQ(cpu_facts_package(&f), package);
	CHECK_EQ(cpu_facts_core(&f), core);
	CHECK_EQ(cpu_facts_thread(&f), thread);
}

TEST(leaf_b)
{
	vendor(false, 0xb, 0);
	says(0xb, 0, 1, 2, 0x100, 0x2b);
	says(0xb, 1, 4, 12, 0x201, 0x2b);
	check_place(2, 0x15, 1);
}

/* Dies and tiles between core and package; leaf 0xb would call the die a package. */
TEST(leaf_1f_comes_first)
{
	vendor(false, 0x1f, 0);
	says(0x1f, 0, 1, 2, 0x100, 0x12345);
	says(0x1f, 1, 5, 32, 0x201, 0x12345);
	says(0x1f, 2, 7, 128, 0x502, 0x12345);
	says(0xb, 0, 1, 2, 0x100, 0x12345);
	says(0xb, 1, 5, 32, 0x201, 0x12345);
	check_place(0x12345 >> 7, 0x12345 >> 1, 1);
}

/* Leaves that are there but empty, as hypervisors leave them. */
TEST(empty_levels_do_not_count)
{
	vendor(false, 0x1f, 0);
	says(1, 0, 0, 5u << 24 | 4 << 16, 0, EDX_HTT);
	says(4, 0, 1u << 26 | 0x21, 0, 0, 0); /* two cores */
	check_place(1, 2, 1);
}

TEST(amd_leaf_1e)
{
	vendor(true, 0xd, 0x8000001e);
	says(0x80000001, 0, 0, 0, ECX_TOPOLOGY_EXTENSIONS, 0);
	says(0x80000008, 0, 0, 0, 4 << 12 | 15, 0);
	says(0x8000001e, 0, 0x13, 0x109, 0, 0);
	check_place(1, 9, 1);
}

TEST(amd_without_topology_extensions)
{
	vendor(true, 0xd, 0x80000008);
	says(1, 0, 0, 6u << 24 | 4 << 16, 0, EDX_HTT);
	says(0x80000008, 0, 0, 0, 3, 0);
	check_place(1, 6, 0);
}

TEST(one_cpu_without_leaves)
{
	vendor(false, 1, 0);
	says(1, 0, 0x506e3, 0, 0, 0);
	check_place(0, 0, 0);
	CHECK_EQ(read_facts().signature, 0x506e3);
}

TEST(hostile_levels_end)
{
	vendor(false, 0xb, 0);
	for (unsigned i = 0; i < 20; i++) {
		says(0xb, i, 31, 9, 0x200, ~0u);
	}
	check_place(1, ~0u, 0);
	/* Threads that are wider than their package: not believed. */
	vendor(false, 0xb, 0);
	says(0xb, 0, 5, 2, 0x100, 3);
	says(0xb, 1, 4, 2, 0x201, 3);
	check_place(0, 0, 0);
}

TEST(microcode)
{
	vendor(false, 1, 0);
	CHECK_EQ(read_facts().microcode, 0); /* no such MSR */
	sign_id_there = true;
	sign_id = 0xf400000000;
	CHECK_EQ(read_facts().microcode, 0xf4);
	CHECK(sign_id_cleared);
	vendor(true, 1, 0);
	sign_id_there = true;
	sign_id = 0x8001250;
	CHECK_EQ(read_facts().microcode, 0x8001250);
	CHECK(!sign_id_cleared);
}

TEST(lfence_serializes_on_amd)
{
	de_cfg = 0x100;
	de_cfg_there = true;
	vendor(false, 1, 0x80000008);
	cpu_make_lfence_serialize();
	CHECK_EQ(de_cfg_writes, 0);
	vendor(true, 1, 0x80000008);
	cpu_make_lfence_serialize();
	CHECK_EQ(de_cfg, 0x102);
	cpu_make_lfence_serialize();
	CHECK_EQ(de_cfg_writes, 1);
	answer[0].out[ECX] = 0x656e6975; /* Hygon */
	de_cfg = 0;
	cpu_make_lfence_serialize();
	CHECK_EQ(de_cfg, 2);
	de_cfg = 0;
	de_cfg_there = false;
	cpu_make_lfence_serialize();
	CHECK_EQ(de_cfg, 0);
}

TEST(no_c1e_on_amd)
{
	int_pending = 0x1803f8c0;
	vendor(false, 1, 0x80000008);
	int_pending_there = true;
	cpu_stay_out_of_c1e();
	CHECK_EQ(int_pending_writes, 0);
	vendor(true, 1, 0x80000008);
	int_pending_there = false;
	cpu_stay_out_of_c1e();
	CHECK_EQ(int_pending_writes, 0);
	int_pending_there = true;
	cpu_stay_out_of_c1e();
	CHECK_EQ(int_pending, 0x3f8c0);
	cpu_stay_out_of_c1e();
	CHECK_EQ(int_pending_writes, 1);
}

TEST(mtrrs_that_differ_from_the_boot_cpu)
{
	vendor(false, 1, 0);
	says(1, 0, 0, 0, 0, BIT(12));
	mtrr_default = 0xc06;
	mtrr_read(&mtrr_boot);
	CHECK(!read_facts().other_mtrrs);
	mtrr_default = 0xc00;
	CHECK(read_facts().other_mtrrs);
	answer[answers - 1].out[2] = (uint32_t)BIT(31); /* a virtual machine */
	CHECK(!read_facts().other_mtrrs);
}

TEST(names_and_numbers)
{
	struct cpu_name name;

	vendor(false, 1, 0x80000004);
	cpu_facts_name(&name);
	CHECK_STR(name.text, "");
	memcpy(answer[answers].out, "   Intel(R) Xeon", 16);
	answer[answers++].leaf = 0x80000002;
	memcpy(answer[answers].out, " \x1b[2J 3.0 GHz   ", 16);
	answer[answers++].leaf = 0x80000003;
	cpu_facts_name(&name);
	CHECK_STR(name.text, "Intel(R) Xeon ?[2J 3.0 GHz");
	CHECK_EQ(cpu_facts_family(0x906ea), 6);
	CHECK_EQ(cpu_facts_model(0x906ea), 0x9e);
	CHECK_EQ(cpu_facts_stepping(0x906ea), 10);
	CHECK_EQ(cpu_facts_family(0x800f12), 0x17);
	CHECK_EQ(cpu_facts_model(0x800f12), 1);
}

static struct cpu_facts machine[6] = {
	{.apic_id = 0, .thread_shift = 1, .package_shift = 2},
	{.apic_id = 1, .thread_shift = 1, .package_shift = 2},
	{.apic_id = 2, .thread_shift = 1, .package_shift = 2},
	{.apic_id = 3, .thread_shift = 1, .package_shift = 2},
	{.apic_id = 8, .thread_shift = 1, .package_shift = 2},
	{.apic_id = 9, .thread_shift = 1, .package_shift = 2},
};

TEST(counts)
{
	CHECK_EQ(cpu_facts_count(machine, 6, cpu_facts_package), 2);
	CHECK_EQ(cpu_facts_count(machine, 6, cpu_facts_core), 3);
	CHECK_EQ(cpu_facts_count(machine, 1, cpu_facts_core), 1);
}

TEST(siblings_are_warned_of_by_name)
{
	static struct config c;

	c = (struct config){.guests = 3,
			    .guest = {{.name = "a", .cpu = {0, 2}, .cpus = 2},
				      {.name = "b", .cpu = {4, 3}, .cpus = 2},
				      {.name = "c", .cpu = {5}, .cpus = 1}}};
	fake_log_reset();
	cpu_facts_warn_siblings(machine, 6, &c);
	CHECK_STR(fake_log, "warning: CPU 2 of guest 'a' and CPU 3 of guest 'b' are threads of one "
			    "core: each slows the other down, and may find out what it computes\n"
			    "warning: CPU 4 of guest 'b' and CPU 5 of guest 'c' are threads of one "
			    "core: each slows the other down, and may find out what it computes\n");
	c.guest[1].cpu[1] = 2;
	c.guest[0].cpus = 1;
	c.guests = 2;
	fake_log_reset();
	cpu_facts_warn_siblings(machine, 6, &c);
	CHECK_STR(fake_log, "");
}

/* --- speculative execution --- */

static struct speculation status;

TEST(speculation_of_an_old_intel)
{
	vendor(false, 7, 0);
	says(1, 0, 0x206a7, 0, 0, 0);
	says(7, 0, 0, EBX_RTM, 0, 0);
	speculation_read(&status);
	CHECK_STR(status.controls, "");
	CHECK_STR(status.immune, "");
	CHECK_STR(status.rest,
		  "Meltdown, L1TF, MDS, TAA, SSB, iTLB multihit, MMIO stale data, GDS, RFDS");
}

TEST(speculation_of_a_new_intel)
{
	vendor(false, 0x1f, 0);
	says(1, 0, 0x606a6, 0, 0, 0);
	says(7, 0, 0, 0, 0, 0xbc000400);
	capabilities = 0x3 | BIT(4) | BIT(5) | BIT(6) | BIT(13) | BIT(14);
	speculation_read(&status);
	CHECK_STR(status.controls,
		  "IBRS, IBPB, STIBP, SSBD, MD_CLEAR, L1D flush, IBRS at all times");
	CHECK_STR(status.immune, "Meltdown, L1TF, MDS, TAA, SSB, iTLB multihit");
	CHECK_STR(status.rest, "MMIO stale data, GDS, RFDS");
	/* Capabilities that CPUID does not announce are not asked for. */
	answer[answers - 1].out[3] = 0;
	speculation_read(&status);
	CHECK_STR(status.immune, "TAA");
}

TEST(speculation_of_an_amd)
{
	vendor(true, 0x10, 0x80000021);
	says(0x80000008, 0, 0, 0x1000 | 0x8000, 0, 0);
	says(0x80000021, 0, 0x100, 0, 0, 0);
	speculation_read(&status);
	CHECK_STR(status.controls, "IBPB, STIBP, IBRS at all times");
	CHECK_STR(status.immune,
		  "Meltdown, L1TF, MDS, TAA, iTLB multihit, MMIO stale data, GDS, RFDS");
	CHECK_STR(status.rest, "SSB");
}

static void check_forget(const char *wanted, unsigned cleared)
{
	fake_host_reset();
	commands[0] = 0;
	speculation_forget();
	CHECK_STR(commands, wanted);
	CHECK_EQ(fake_host.buffers_cleared, cleared);
}

TEST(what_a_cpu_remembers_is_forgotten_by_what_it_has)
{
	vendor(false, 7, 0);
	says(7, 0, 0, 0, 0, 0);
	speculation_init();
	check_forget("48=0 ", 0);
	answer[answers - 1].out[3] = EDX_MD_CLEAR;
	check_forget("48=0 ", 1);
	answer[answers - 1].out[3] = EDX_IBRS_IBPB;
	check_forget("48=0 49=1 ", 0);
	answer[answers - 1].out[3] = EDX_MD_CLEAR | EDX_IBRS_IBPB | EDX_L1D_FLUSH;
	check_forget("48=0 49=1 10b=1 ", 1);
	vendor(true, 7, 0x80000008);
	says(0x80000008, 0, 0, AMD8_IBPB, 0, 0);
	check_forget("48=0 49=1 ", 0);
}

TEST(ibrs_stays_set_where_once_is_enough)
{
	vendor(false, 7, 0);
	says(7, 0, 0, 0, 0, EDX_ARCH_CAPABILITIES | EDX_IBRS_IBPB);
	capabilities = CAP_IBRS_ALL;
	speculation_init();
	CHECK(speculation_keeps_ibrs());
	check_forget("48=1 49=1 ", 0);
	commands[0] = 0;
	CHECK(speculation_write(4));
	CHECK_STR(commands, "48=5 ");

	answer[answers - 1].out[3] = EDX_ARCH_CAPABILITIES; /* no SPEC_CTRL */
	speculation_init();
	CHECK(!speculation_keeps_ibrs());
	answer[answers - 1].out[3] = EDX_ARCH_CAPABILITIES | EDX_IBRS_IBPB;
	capabilities = ~(uint64_t)CAP_IBRS_ALL;
	speculation_init();
	CHECK(!speculation_keeps_ibrs());
	commands[0] = 0;
	CHECK(!speculation_write(RESERVED));
	CHECK_STR(commands, "48=80 ");
}

TEST(automatic_ibrs_is_amds)
{
	vendor(true, 7, 0x80000021);
	says(0x80000021, 0, AMD21_AUTO_IBRS, 0, 0, 0);
	CHECK(speculation_auto_ibrs());
	answer[answers - 1].out[0] = ~(uint32_t)AMD21_AUTO_IBRS;
	CHECK(!speculation_auto_ibrs());
	vendor(true, 7, 0x80000008);
	says(0x80000021, 0, AMD21_AUTO_IBRS, 0, 0, 0); /* beyond the last leaf */
	CHECK(!speculation_auto_ibrs());
}

/* --- iTLB multihit --- */

static enum multihit multihit_of(bool amd, uint32_t signature, uint32_t ecx, uint64_t says_no)
{
	vendor(amd, 7, 0);
	says(1, 0, signature, 0, ecx, 0);
	says(7, 0, 0, 0, 0, says_no ? EDX_ARCH_CAPABILITIES : 0);
	capabilities = says_no;
	CHECK_EQ(read_facts().multihit, multihit_read());
	return multihit_read();
}

TEST(multihit_by_model)
{
	static const uint32_t affected[] = {
		0x106a5, 0x206a7, 0x306a9, 0x306c3, 0x306d4,
		0x406f1, 0x50654, 0x906ea, 0xa0652, 0xb06f0, /* nobody knows it */
	};
	static const uint32_t immune_ones[] = {
		0x406d8, 0x406c3, 0x506c9, 0x506f1, 0x706a1,
		0x80664, 0x50671, 0x80650, 0x00f43, /* another family */
	};

	for (size_t i = 0; i < ARRAY_SIZE(affected); i++) {
		CHECK_EQ(multihit_of(false, affected[i], 0, 0), MULTIHIT_YES);
	}
	for (size_t i = 0; i < ARRAY_SIZE(immune_ones); i++) {
		CHECK_EQ(multihit_of(false, immune_ones[i], 0, 0), MULTIHIT_NO);
	}
	CHECK_EQ(multihit_of(true, 0x50654, 0, 0), MULTIHIT_NO);
}

TEST(multihit_by_what_the_cpu_says)
{
	CHECK_EQ(multihit_of(false, 0x606a6, 0, BIT(6)), MULTIHIT_NO);
	CHECK_EQ(multihit_of(false, 0x606a6, 0, ~(uint64_t)BIT(6)), MULTIHIT_YES);
	CHECK_EQ(multihit_of(false, 0x50654, ECX_HYPERVISOR, 0), MULTIHIT_BELOW);
	CHECK_EQ(multihit_of(false, 0x606a6, ECX_HYPERVISOR, BIT(6)), MULTIHIT_NO);
	/* The bit counts only where CPUID announces the register. */
	multihit_of(false, 0x606a6, 0, BIT(6));
	answer[answers - 1].out[3] = 0;
	CHECK_EQ(multihit_read(), MULTIHIT_YES);
	/* A CPU without leaf 7: what is read there is that of another leaf. */
	multihit_of(false, 0x106a5, 0, BIT(6));
	answer[0].out[0] = 6;
	CHECK_EQ(multihit_read(), MULTIHIT_YES);
}

static void check_choice(const char *word, const struct cpu_facts f[2], bool split, const char *log)
{
	fake_log_reset();
	CHECK_EQ(multihit_choose(word, f, 2), split);
	CHECK_STR(fake_log, log);
}

TEST(multihit_is_chosen_once_for_all_cpus)
{
	static const struct cpu_facts none[2], second[2] = {[1].multihit = MULTIHIT_YES};
	static const struct cpu_facts below[2] = {{.multihit = MULTIHIT_BELOW},
						  {.multihit = MULTIHIT_BELOW}};

	check_choice(NULL, none, false,
		     "iTLB multihit: no CPU is affected: guests run code from large leaves\n");
	check_choice(NULL, second, true,
		     "iTLB multihit: CPU 1 is affected: guests run code from 4 KiB leaves\n");
	check_choice(NULL, below, false,
		     "iTLB multihit: left to the hypervisor below: guests run code from large "
		     "leaves\n");
	check_choice("split", none, true,
		     "iTLB multihit: split by the command line: guests run code from 4 KiB "
		     "leaves\n");
	check_choice("trust times", second, false,
		     "iTLB multihit: trusted by the command line: guests run code from large "
		     "leaves, and can stop this machine by a machine check\n");
	check_choice("trust", below, false,
		     "iTLB multihit: trusted by the command line: guests run code from large "
		     "leaves\n");
	check_choice("trusty", second, true,
		     "multihit: the value is neither split nor trust, and is not used\n"
		     "iTLB multihit: CPU 1 is affected: guests run code from 4 KiB leaves\n");
}
