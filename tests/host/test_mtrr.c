/*
 * The machine's memory types, as firmware of several kinds sets them, and what is kept of RAM.
 */
#include "boot/memory.h"
#define host_cpuid machine_cpuid
#define host_rdmsr machine_rdmsr
#include "hv/cpu_facts.c"
#include "hv/mtrr.c"
#include "tests/host/test.h"

static struct {
	uint32_t number;
	uint64_t value;
} msrs[48];
static unsigned msr_count;
static bool amd, has_mtrr;
static struct mtrr m;
static struct boot_info b;
static struct memory ram;

void machine_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	(void)subleaf;
	memset(out, 0, 16);
	switch (leaf) {
	case 0: out[ECX] = amd ? 0x444d4163 : 0x6c65746e; break;
	case 1: out[EDX] = has_mtrr ? EDX_MTRR : 0; break;
	case 0x80000000: out[EAX] = 0x80000008; break;
	case 0x80000008: out[EAX] = 40; break;
	}
}

bool machine_rdmsr(uint32_t number, uint64_t *value)
{
	for (unsigned i = 0; i < msr_count; i++) {
		if (msrs[i].number == number) {
			*value = msrs[i].value;
			return true;
		}
	}
	return false;
}

static void says(uint32_t number, uint64_t value)
{
	msrs[msr_count].number = number;
	msrs[msr_count++].value = value;
}

static void range(unsigned i, uint64_t base, uint64_t size, unsigned type)
{
	says(MSR_MTRR_PHYS_BASE0 + 2 * i, base | type);
	says(MSR_MTRR_PHYS_BASE0 + 2 * i + 1, size ? (~(size - 1) & FIELD(39, 12)) | 0x800 : 0);
}

static void machine(unsigned ranges, uint64_t def)
{
	memset(msrs, 0, sizeof(msrs));
	msr_count = 0;
	amd = false;
	has_mtrr = true;
	says(MSR_MTRRCAP, 0x500 | ranges);
	says(MSR_MTRR_DEF_TYPE, def);
}

/* Types in order, with where each ends. */
static void check_types(uint64_t at, unsigned n, const uint64_t (*expected)[2])
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t until;

		CHECK_EQ(mtrr_at(&m, at, &until), expected[i][0]);
		CHECK(until > at);
		while (until < expected[i][1]) {
			at = until;
			CHECK_EQ(mtrr_at(&m, at, &until), expected[i][0]);
		}
		CHECK_EQ(until, expected[i][1]);
		at = until;
	}
}

/* As SeaBIOS does it: everything write-back but for the PCI hole. */
TEST(write_back_with_a_hole)
{
	machine(2, 0xc06);
	range(0, 0xc0000000, GIB(1), MTRR_UC);
	range(1, 0, 0, 0);
	mtrr_read(&m);
	CHECK(m.on);
	CHECK_EQ(m.variables, 1);
	check_types(
		MIB(1), 3,
		(uint64_t[][2]){{MTRR_WB, 0xc0000000}, {MTRR_UC, GIB(4)}, {MTRR_WB, UINT64_MAX}});
}

/* As on PCs: what is RAM is listed, and what is cut out of it again is uncached. */
TEST(ranges_over_uncached)
{
	machine(4, 0xc00);
	range(0, 0, GIB(2), MTRR_WB);
	range(1, 0x7f000000, MIB(16), MTRR_UC);
	range(2, GIB(4), GIB(4), MTRR_WB);
	range(3, 0xe0000000, MIB(256), MTRR_WC);
	mtrr_read(&m);
	check_types(MIB(1), 6,
		    (uint64_t[][2]){{MTRR_WB, 0x7f000000},
				    {MTRR_UC, 0xe0000000},
				    {MTRR_WC, 0xf0000000},
				    {MTRR_UC, GIB(4)},
				    {MTRR_WB, GIB(8)},
				    {MTRR_UC, UINT64_MAX}});
}

TEST(overlaps)
{
	machine(3, 0xc00);
	range(0, 0, GIB(1), MTRR_WB);
	range(1, 0, MIB(512), MTRR_WT);
	range(2, 0, MIB(256), MTRR_WC);
	mtrr_read(&m);
	check_types(MIB(1), 3,
		    (uint64_t[][2]){{MTRR_UC, MIB(256)}, {MTRR_WT, MIB(512)}, {MTRR_WB, GIB(1)}});
}

TEST(top_of_memory_on_amd)
{
	machine(1, 0xc00);
	range(0, 0, GIB(2), MTRR_WB);
	says(MSR_AMD_SYSCFG, SYSCFG_TOM2 | SYSCFG_TOM2_WB);
	says(MSR_AMD_TOP_MEM2, GIB(34));
	mtrr_read(&m);
	CHECK_EQ(m.top_wb, 0); /* Intel has no such MSRs */
	amd = true;
	mtrr_read(&m);
	check_types(MIB(1), 4,
		    (uint64_t[][2]){{MTRR_WB, GIB(2)},
				    {MTRR_UC, GIB(4)},
				    {MTRR_WB, GIB(34)},
				    {MTRR_UC, UINT64_MAX}});
}

TEST(nothing_is_known)
{
	machine(0, 0x406); /* off */
	mtrr_read(&m);
	CHECK(!m.on);
	machine(0, 0xc06);
	has_mtrr = false;
	mtrr_read(&m);
	CHECK(!m.on);
	machine(1, 0xc06); /* a register that faults */
	mtrr_read(&m);
	CHECK(!m.on);
	machine(1, 0xc06); /* a mask with a hole */
	says(MSR_MTRR_PHYS_BASE0, 0);
	says(MSR_MTRR_PHYS_BASE0 + 1, 0xff0fffff800);
	mtrr_read(&m);
	CHECK(!m.on);
	machine(255, 0xc06); /* more than there is room for, all absent */
	mtrr_read(&m);
	CHECK(!m.on);
}

/* --- RAM --- */

static void has_ram(uint64_t base, uint64_t end)
{
	b.memory[b.memories++] = (struct boot_memory){base, end - base, MEMORY_RAM};
}

TEST(uncached_ram_is_left_out)
{
	memset(&b, 0, sizeof(b));
	has_ram(MIB(1), 0x7f800000);
	has_ram(GIB(4), GIB(8) + MIB(512)); /* half a GiB that the ranges forget */
	machine(2, 0xc00);
	range(0, 0, 0x80000000, MTRR_WB);
	range(1, GIB(4), GIB(4), MTRR_WB);
	mtrr_read(&m);
	memory_init(&ram, &b);
	CHECK_EQ(memory_exclude_uncached(&ram, &m), MIB(512));
	CHECK_EQ(memory_total(&ram), 0x7f800000 - MIB(1) + GIB(4));
	CHECK_EQ(memory_exclude_uncached(&ram, &m), 0);
}

/* Registers that leave most RAM uncached are not those of a machine that works. */
TEST(registers_that_cannot_be_right)
{
	memset(&b, 0, sizeof(b));
	has_ram(MIB(1), GIB(2));
	has_ram(GIB(4), GIB(8));
	machine(1, 0xc00);
	range(0, 0, 0x80000000, MTRR_WB);
	mtrr_read(&m);
	memory_init(&ram, &b);
	CHECK_EQ(memory_exclude_uncached(&ram, &m), 0);
	CHECK_EQ(memory_total(&ram), GIB(6) - MIB(1));
	m.on = false;
	CHECK_EQ(memory_exclude_uncached(&ram, &m), 0);
}
