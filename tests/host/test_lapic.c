/*
 * The local APIC's two modes: as firmware left it, and x2APIC where CPUs have ids that an xAPIC
 * cannot address. Registers are an array, MSRs are checked as a CPU checks them.
 */
#include "arch/x86_64/asm.h"
#include "arch/x86_64/percpu.h"
#include "hv/host.h"
#include "hv/msr_index.h"

static uint64_t own_rdmsr(uint32_t msr);
static void own_wrmsr(uint32_t msr, uint64_t v);
static void own_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4]);
static struct percpu cpu;

#define rdmsr	   own_rdmsr
#define wrmsr	   own_wrmsr
#define cpuid	   own_cpuid
#define host_cpuid own_cpuid
#define this_cpu() (&cpu)
#include "drivers/lapic.c"
#undef this_cpu

#include "tests/fake/fake_host.h"
#include "tests/host/test.h"

enum { APIC_ID = 0x12345, VERSION = 0x50014 };

static uint64_t base, icr;
static uint32_t x2apic_register[64];
static bool x2apic_there;
static unsigned faults;

static uint64_t own_rdmsr(uint32_t msr)
{
	if (msr == MSR_APIC_BASE) {
		return base;
	}
	faults += !(base & BASE_X2APIC) || msr < MSR_X2APIC_FIRST || msr >= MSR_X2APIC_FIRST + 64;
	return x2apic_register[(msr - MSR_X2APIC_FIRST) % 64];
}

/* Intel SDM vol. 3, "x2APIC State Transitions": what is not on its list is #GP. */
static void own_wrmsr(uint32_t msr, uint64_t v)
{
	if (msr == MSR_APIC_BASE) {
		bool on = v & BASE_ENABLE, wide = v & BASE_X2APIC;

		faults += wide && (!on || !x2apic_there || !(base & BASE_ENABLE));
		faults += !wide && base & BASE_X2APIC;
		base = v;
		return;
	}
	faults += !(base & BASE_X2APIC) || msr < MSR_X2APIC_FIRST || msr >= MSR_X2APIC_FIRST + 64;
	if (msr == MSR_X2APIC_FIRST + LAPIC_ICR / 16) {
		icr = v;
	}
	x2apic_register[(msr - MSR_X2APIC_FIRST) % 64] = (uint32_t)v;
}

static void own_cpuid(uint32_t leaf, uint32_t subleaf, uint32_t out[4])
{
	(void)subleaf;
	memset(out, 0, 16);
	out[2] = leaf == 1 && x2apic_there ? CPUID_1_ECX_X2APIC : 0;
}

static volatile uint32_t *xapic(void)
{
	return (volatile uint32_t *)(fake_host.mmio + 0xfee00000 % sizeof(fake_host.mmio));
}

static void machine(uint64_t apic_base, bool has)
{
	fake_host_reset();
	memset(x2apic_register, 0, sizeof(x2apic_register));
	memset(fake_host.mmio, 0, sizeof(fake_host.mmio));
	x2apic_register[LAPIC_ID / 16] = APIC_ID;
	x2apic_register[LAPIC_VERSION / 16] = VERSION;
	xapic()[LAPIC_ID / 4] = (APIC_ID & 0xff) << 24;
	xapic()[LAPIC_VERSION / 4] = VERSION;
	base = 0xfee00000 | apic_base;
	x2apic_there = has;
	page = NULL;
	faults = 0;
	cpu.apic_id = 0;
}

TEST(xapic_as_it_was)
{
	machine(BASE_ENABLE, true);
	lapic_init(false);
	CHECK(!lapic_x2apic());
	CHECK_EQ(base, 0xfee00000 | BASE_ENABLE);
	CHECK_EQ(cpu.apic_id, APIC_ID & 0xff);
	CHECK_EQ(xapic()[LAPIC_SVR / 4], SVR_ENABLE | VECTOR_SPURIOUS);
	lapic_send(7, 0x30);
	CHECK_EQ(xapic()[LAPIC_ICR_HIGH / 4], 7u << 24);
	CHECK_EQ(faults, 0);
}

TEST(x2apic_on_at_hand_over)
{
	machine(BASE_ENABLE | BASE_X2APIC, true);
	lapic_init(false);
	CHECK(lapic_x2apic());
	CHECK_EQ(lapic_id(), APIC_ID);
	CHECK_EQ(cpu.apic_id, APIC_ID);
	CHECK_EQ(x2apic_register[LAPIC_SVR / 16], SVR_ENABLE | VECTOR_SPURIOUS);
	CHECK_EQ(xapic()[LAPIC_SVR / 4], 0);
	lapic_send(0x54321, LAPIC_NMI);
	CHECK_EQ(icr, 0x54321ull << 32 | ICR_ASSERT | LAPIC_NMI);
	lapic_set_destination(5); /* of the xAPIC's two halves; here there is one */
	CHECK_EQ(lapic_destination(), 0);
	CHECK_EQ(faults, 0);
}

TEST(x2apic_where_ids_need_it)
{
	machine(BASE_ENABLE, true);
	lapic_init(true);
	CHECK(lapic_x2apic());
	CHECK_EQ(lapic_id(), APIC_ID);
	machine(0, true); /* off: first on, then x2APIC */
	lapic_init(true);
	CHECK(lapic_x2apic());
	CHECK_EQ(faults, 0);
}

TEST(x2apic_that_is_not_there)
{
	machine(BASE_ENABLE, false);
	lapic_init(true);
	CHECK(!lapic_x2apic());
	CHECK_EQ(lapic_id(), APIC_ID & 0xff);
	CHECK_EQ(faults, 0);
}

/* Other CPUs follow the boot CPU, from whatever state they wake up in. */
TEST(other_cpus_follow)
{
	machine(BASE_ENABLE, true);
	lapic_init(true);
	base = 0xfee00000;
	lapic_init_ap();
	CHECK_EQ(base, 0xfee00000 | BASE_ENABLE | BASE_X2APIC);
	lapic_init_ap();
	CHECK_EQ(base, 0xfee00000 | BASE_ENABLE | BASE_X2APIC);
	machine(BASE_ENABLE, true);
	lapic_init(false);
	base = 0xfee00000;
	lapic_init_ap();
	CHECK_EQ(base, 0xfee00000 | BASE_ENABLE);
	CHECK_EQ(faults, 0);
}
