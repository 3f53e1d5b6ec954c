/*
 * hv/vdev/vlapic_regs.c: the xAPIC page, the x2APIC MSRs, errors, IA32_APIC_BASE (Intel SDM vol. 3,
 * "Local APIC", "Error Handling", "Extended XAPIC (x2APIC)").
 */
#include "hv/msr_index.h"
#include "tests/fake/apic_regs.h"
#include "tests/fake/apic_rig.h"
#include "tests/host/test.h"

static void post(unsigned index, uint8_t vector, bool level)
{
	vlapic_accept(&rig.lapic[index], vector, level);
}

static uint32_t esr(unsigned index)
{
	rig_write(index, ESR, 0);
	return rig_read(index, ESR);
}

/* --- errors --- */

TEST(esr_shows_what_a_write_latches)
{
	rig_start(1);
	post(0, 5, false);
	CHECK_EQ(rig_pending(0), -1);
	CHECK_EQ(rig_read(0, ESR), 0);
	rig_write(0, ESR, 0xffffffff); /* xAPIC: any value */
	CHECK_EQ(rig_read(0, ESR), 0x40);
	CHECK_EQ(rig_read(0, ESR), 0x40);
	CHECK_EQ(esr(0), 0);
}

TEST(errors_that_are_detected)
{
	rig_start(2);
	rig_write(0, ICR, 0x4000 | 15); /* send illegal vector */
	CHECK_EQ(esr(0), 0x20);
	rig_write(0, ICR, 0x4100 | 3); /* lowest priority too */
	CHECK_EQ(esr(0), 0x20);
	rig_write(0, ICR, 0x44000 | 3); /* self: not sent, so not received */
	CHECK_EQ(esr(0), 0x20);
	CHECK_STR(rig_take_log(), "");
	rig_write(0, ICR, 0x4400 | 3); /* NMI ignores its vector */
	rig_write(0, ICR, 0x4600 | 3); /* SIPI: the vector is a page */
	CHECK_EQ(esr(0), 0);
	post(1, 15, true);
	CHECK_EQ(esr(1), 0x40);
	(void)rig_read(0, 0x40); /* reserved */
	CHECK_EQ(esr(0), 0x80);
	rig_write(0, SELF, 0x40); /* x2APIC only */
	CHECK_EQ(esr(0), 0x80);
	CHECK_EQ(rig_pending(0), -1);
	(void)rig_read(0, CMCI); /* not in a version of six entries */
	CHECK_EQ(esr(0), 0x80);
	(void)rig_read(0, 0x400); /* extended APIC space */
	CHECK_EQ(esr(0), 0x80);
	(void)rig_read(0, 0xff0);
	CHECK_EQ(esr(0), 0x80);
}

TEST(legal_registers_are_no_errors)
{
	static const unsigned reads[] = {
		ID,  VERSION,  TPR,   APR,    PPR,    EOI,   RRD,   LDR,   DFR,	  SVR,	 ESR,
		ICR, ICR_HIGH, LVT_T, LVT_TH, LVT_PC, LVT_0, LVT_1, LVT_E, TMICT, TMCCT, TDCR};

	rig_start(1);
	for (unsigned i = 0; i < ARRAY_SIZE(reads); i++) {
		(void)rig_read(0, reads[i]);
	}
	for (unsigned offset = ISR; offset < ESR; offset += 16) {
		CHECK_EQ(rig_read(0, offset), 0);
		rig_write(0, offset, 0xffffffff); /* read-only */
		CHECK_EQ(rig_read(0, offset), 0);
	}
	rig_write(0, VERSION, 0);
	rig_write(0, ID, 0x55000000);
	rig_write(0, PPR, 0xff);
	rig_write(0, TMCCT, 0xff);
	CHECK_EQ(rig_read(0, VERSION), 0x01050014);
	CHECK_EQ(rig_read(0, ID), 0);
	CHECK_EQ(rig_read(0, PPR), 0);
	CHECK_EQ(esr(0), 0);
}

TEST(one_error_interrupt_per_esr_write)
{
	rig_start(1);
	rig_write(0, LVT_E, 0xfe);
	(void)rig_read(0, 0x40);
	CHECK_EQ(rig_deliver(0), 0xfe);
	rig_write(0, EOI, 0);
	rig_write(0, ICR, 0x4003); /* another bit, but not rearmed */
	CHECK_EQ(rig_deliver(0), -1);
	CHECK_EQ(esr(0), 0xa0);
	post(0, 1, false); /* detected elsewhere, raised here */
	CHECK_EQ(rig_deliver(0), 0xfe);
	rig_write(0, EOI, 0);
	CHECK_EQ(esr(0), 0x40);
	rig_write(0, LVT_E, 0x100fe);
	(void)rig_read(0, 0x40);
	CHECK_EQ(rig_deliver(0), -1);
}

TEST(an_illegal_error_vector_ends)
{
	rig_start(1);
	rig_write(0, LVT_E, 0x0f);
	(void)rig_read(0, 0x40);
	CHECK_EQ(rig_pending(0), -1);
	CHECK_EQ(esr(0), 0xc0);
}

/* --- xAPIC accesses --- */

TEST(stored_bits_in_xapic_mode)
{
	rig_start(1);
	static const struct {
		unsigned offset;
		uint32_t stored;
	} table[] = {
		{TPR, 0xff},	  {LDR, 0xff000000}, {SVR, 0x13ff},	{ICR_HIGH, 0xff000000},
		{LVT_T, 0x700ff}, {LVT_TH, 0x107ff}, {LVT_PC, 0x107ff}, {LVT_0, 0x1a7ff},
		{LVT_1, 0x1a7ff}, {LVT_E, 0x100ff},  {TDCR, 0xb},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		rig_write(0, table[i].offset, 0xffffffff);
		CHECK_EQ(rig_read(0, table[i].offset), table[i].stored);
	}
	rig_write(0, DFR, 0);
	CHECK_EQ(rig_read(0, DFR), 0x0fffffff);
	rig_write(0, LVT_T, 0);
	rig_write(0, TMICT, 0xffffffff);
	CHECK_EQ(rig_read(0, TMICT), 0xffffffff);
	rig_write(0, ICR, 0xffffffff & ~0x700u);       /* fixed, all but self: nobody there */
	CHECK_EQ(rig_read(0, ICR), 0xcc8ff & ~0x700u); /* delivery status stays 0 */
	CHECK_EQ(esr(0), 0);
}

TEST(odd_sizes_in_xapic_mode)
{
	struct bus_access a = {.offset = VERSION, .size = 1};

	rig_start(1);
	vlapic_access(&rig.lapic[0], &a);
	CHECK_EQ(a.value & 0xff, 0x14);
	a = (struct bus_access){.offset = VERSION + 2, .size = 2};
	vlapic_access(&rig.lapic[0], &a);
	CHECK_EQ(a.value & 0xffff, 0x0105);
	a = (struct bus_access){.offset = VERSION, .size = 8};
	vlapic_access(&rig.lapic[0], &a);
	CHECK_EQ(a.value, 0x01050014);
	a = (struct bus_access){.offset = VERSION + 4, .size = 4};
	vlapic_access(&rig.lapic[0], &a);
	CHECK_EQ(a.value, 0);
	for (uint8_t size = 1; size <= 8; size *= 2) { /* only 4 bytes at the register write */
		a = (struct bus_access){
			.offset = TPR, .size = size, .write = true, .value = size << 4};
		vlapic_access(&rig.lapic[0], &a);
	}
	CHECK_EQ(rig_read(0, TPR), 0x40);
	a = (struct bus_access){.offset = TPR + 4, .size = 4, .write = true, .value = 0x99};
	vlapic_access(&rig.lapic[0], &a);
	CHECK_EQ(rig_read(0, TPR), 0x40);
	CHECK_EQ(esr(0), 0);
}

TEST(posted_vectors_show_in_irr_at_once)
{
	rig_start(1);
	post(0, 0x85, false);
	CHECK_EQ(rig_read(0, IRR + 0x40), 1u << 5);
	rig_x2apic(0);
	post(0, 0x86, true);
	CHECK_EQ(rig_rdmsr(0, msr_of(IRR + 0x40)), 3u << 5);
	CHECK_EQ(rig_rdmsr(0, msr_of(TMR + 0x40)), 1u << 6);
}

/* --- x2APIC --- */

TEST(the_page_is_gone_in_x2apic_mode)
{
	rig_start(1);
	rig_x2apic(0);
	CHECK_EQ(rig_read(0, VERSION), 0xffffffff);
	rig_write(0, TPR, 0x50);
	CHECK_EQ(rig_rdmsr(0, msr_of(TPR)), 0);
	CHECK(!vlapic_at(&rig.lapic[0], 0xfee00030));
}

TEST(the_msrs_are_not_there_in_xapic_mode)
{
	rig_start(1);
	for (uint32_t msr = 0x800; msr < 0x900; msr++) {
		CHECK(!rig_rdmsr_ok(0, msr));
		CHECK(!rig_wrmsr(0, msr, 0));
	}
	rig_wrmsr(0, MSR_APIC_BASE, 0xfee00100);
	CHECK(!rig_rdmsr_ok(0, msr_of(ID)));
}

TEST(which_x2apic_msrs_read_and_write)
{
	rig_start(1);
	rig_x2apic(0);
	for (uint32_t msr = 0x800; msr < 0x900; msr++) {
		uint32_t offset = (msr - 0x800) * 16;
		bool vectors = offset >= ISR && offset < ESR;
		bool lvt = offset >= LVT_T && offset <= LVT_E;
		bool both = lvt || offset == TPR || offset == SVR || offset == ESR ||
			    offset == ICR || offset == TMICT || offset == TDCR;
		bool reads = both || vectors || offset == ID || offset == VERSION ||
			     offset == PPR || offset == LDR || offset == TMCCT;
		bool writes = both || offset == EOI || offset == SELF;

		CHECK_EQ(rig_rdmsr_ok(0, msr), reads);
		CHECK_EQ(rig_wrmsr(0, msr, 0), writes);
	}
}

TEST(reserved_bits_fault_in_x2apic_mode)
{
	static const struct {
		unsigned offset;
		uint64_t legal;
	} table[] = {
		{TPR, 0xff},	     {EOI, 0},
		{SVR, 0x13ff},	     {ESR, 0},
		{LVT_T, 0x710ff},    {LVT_TH, 0x117ff},
		{LVT_PC, 0x117ff},   {LVT_0, 0x1f7ff},
		{LVT_1, 0x1f7ff},    {LVT_E, 0x110ff},
		{TMICT, 0xffffffff}, {TDCR, 0xb},
		{SELF, 0xff},	     {ICR, 0xffffffff000cdfff},
	};

	rig_start(1);
	rig_x2apic(0);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		for (unsigned bit = 0; bit < 64; bit++) {
			CHECK_EQ(rig_wrmsr(0, msr_of(table[i].offset), BIT(bit)),
				 table[i].legal >> bit & 1);
		}
	}
	rig.bus.tsc_deadline = false;
	CHECK(!rig_wrmsr(0, msr_of(LVT_T), 0x400ef));
}

TEST(a_refused_write_changes_nothing)
{
	rig_start(2);
	rig_x2apic(0);
	rig_wrmsr(0, msr_of(TPR), 0x30);
	CHECK(!rig_wrmsr(0, msr_of(TPR), 0x150));
	CHECK_EQ(rig_rdmsr(0, msr_of(TPR)), 0x30);
	CHECK(!rig_wrmsr(0, msr_of(ICR), 0x1000c2041));
	CHECK_STR(rig_take_log(), "");
	CHECK_EQ(rig_rdmsr(0, msr_of(ICR)), 0);
}

TEST(x2apic_registers)
{
	rig_start(8);
	rig_x2apic(5);
	CHECK_EQ(rig_rdmsr(5, msr_of(ID)), 5);
	CHECK_EQ(rig_rdmsr(5, msr_of(LDR)), 1u << 5);
	CHECK_EQ(rig_rdmsr(5, msr_of(VERSION)), 0x01050014);
	rig.lapic[5].apic_id = 0x12345; /* ids above 255 live in this mode only */
	CHECK_EQ(rig_rdmsr(5, msr_of(ID)), 0x12345);
	CHECK_EQ(rig_rdmsr(5, msr_of(LDR)), 0x12340000u | 1u << 5);
	CHECK(rig_wrmsr(5, msr_of(ICR), 0xaabbccdd00005440)); /* delivery status is ignored */
	CHECK_EQ(rig_rdmsr(5, msr_of(ICR)), 0xaabbccdd00004440);
	CHECK(rig_wrmsr(5, msr_of(LVT_0), 0x5700));
	CHECK_EQ(rig_rdmsr(5, msr_of(LVT_0)), 0x700);
}

TEST(x2apic_delivery_and_eoi)
{
	rig_start(1);
	rig_x2apic(0);
	CHECK(rig_wrmsr(0, msr_of(SELF), 0x77));
	CHECK_EQ(rig_deliver(0), 0x77);
	CHECK_EQ(rig_rdmsr(0, msr_of(PPR)), 0x70);
	CHECK(!rig_wrmsr(0, msr_of(EOI), 1));
	CHECK_EQ(rig_rdmsr(0, msr_of(PPR)), 0x70);
	CHECK(rig_wrmsr(0, msr_of(EOI), 0));
	CHECK_EQ(rig_rdmsr(0, msr_of(PPR)), 0);
	CHECK(rig_wrmsr(0, msr_of(SELF), 7)); /* an error, not a fault */
	CHECK(rig_wrmsr(0, msr_of(ESR), 0));
	CHECK_EQ(rig_rdmsr(0, msr_of(ESR)), 0x20);
	CHECK(rig_wrmsr(0, msr_of(SVR), 0xff));
	CHECK(rig_wrmsr(0, msr_of(SELF), 0x78));
	CHECK_EQ(rig_pending(0), -1);
}

/* --- IA32_APIC_BASE --- */

enum { OFF, BAD, XAPIC, X2APIC };

static void enter(unsigned mode)
{
	rig_start(1);
	if (mode == OFF) {
		CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00100));
	} else if (mode == X2APIC) {
		CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00d00));
	}
}

TEST(mode_transitions)
{
	static const bool legal[4][4] = {
		[OFF] = {[OFF] = true, [XAPIC] = true},
		[XAPIC] = {[OFF] = true, [XAPIC] = true, [X2APIC] = true},
		[X2APIC] = {[OFF] = true, [X2APIC] = true},
	};

	for (unsigned from = 0; from < 4; from++) {
		for (unsigned to = 0; to < 4 && from != BAD; to++) {
			uint64_t before;

			enter(from);
			before = rig_rdmsr(0, MSR_APIC_BASE);
			CHECK_EQ(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00100 | to << 10),
				 legal[from][to]);
			CHECK_EQ(rig_rdmsr(0, MSR_APIC_BASE),
				 legal[from][to] ? 0xfee00100 | to << 10 : before);
		}
	}
}

TEST(apic_base_reserved_bits)
{
	rig_start(1);
	for (unsigned bit = 0; bit < 64; bit++) {
		uint64_t value = rig_rdmsr(0, MSR_APIC_BASE);
		bool legal = bit == 8 || (bit >= 10 && bit < 40);

		CHECK_EQ(rig_wrmsr(0, MSR_APIC_BASE, value | BIT(bit)), legal);
		enter(XAPIC);
	}
	CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00800)); /* the BSP flag stays */
	CHECK_EQ(rig_rdmsr(0, MSR_APIC_BASE), 0xfee00900);
}

TEST(the_page_moves)
{
	rig_start(1);
	CHECK(vlapic_at(&rig.lapic[0], 0xfee00fff));
	CHECK(!vlapic_at(&rig.lapic[0], 0xfee01000));
	CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0x12345900));
	CHECK(!vlapic_at(&rig.lapic[0], 0xfee00000));
	CHECK(vlapic_at(&rig.lapic[0], 0x12345030));
	CHECK_EQ(rig_rdmsr(0, MSR_APIC_BASE), 0x12345900);
	CHECK_EQ(rig_read(0, VERSION), 0x01050014);
	CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0x12345100));
	CHECK(!vlapic_at(&rig.lapic[0], 0x12345030));
	vlapic_reset(&rig.lapic[0], false);
	CHECK(vlapic_at(&rig.lapic[0], 0xfee00000));
	rig.bus.maxphyaddr = 0;
	CHECK(!rig_wrmsr(0, MSR_APIC_BASE, 0x12345900));
	CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00900));
}

TEST(disabling_loses_state_and_hears_nothing)
{
	for (unsigned mode = XAPIC; mode <= X2APIC; mode++) {
		struct apic_message nmi = {.dest = 0xff, .delivery = APIC_NMI};

		enter(mode);
		post(0, 0x40, false);
		rig_deliver(0);
		post(0, 0x60, false);
		rig.lapic[0].tpr = 0x20;
		CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00100));
		rig_take_log();
		post(0, 0x70, false);
		CHECK(!apic_bus_send(&rig.bus, &nmi));
		CHECK_STR(rig_take_log(), "");
		CHECK_EQ(rig_pending(0), -1);
		CHECK_EQ(rig_read(0, VERSION), 0xffffffff);
		rig_write(0, SVR, 0x1ff);
		CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00900));
		CHECK_EQ(rig_read(0, SVR), 0xff);
		CHECK_EQ(rig_read(0, LVT_0), 0x10000);
		CHECK_EQ(rig_read(0, TPR), 0);
		CHECK_EQ(rig_read(0, ISR + 0x20), 0);
		rig_write(0, SVR, 0x1ff);
		CHECK_EQ(rig_pending(0), -1);
		post(0, 0x42, false);
		CHECK_EQ(rig_deliver(0), 0x42);
	}
}

/* A sender that looked at the mode just before the APIC went away. */
TEST(what_arrives_after_disabling_is_dropped)
{
	struct vlapic *a = &rig.lapic[0];

	rig_start(1);
	CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00100));
	atomic_fetch_or(&a->posted[2], 1);
	atomic_fetch_or(&a->posted_errors, 0x40);
	atomic_fetch_or(&a->posted_any, 4 | 0x10000);
	CHECK_EQ(rig_pending(0), -1);
	CHECK_EQ(a->esr_pending, 0);
	CHECK(rig_wrmsr(0, MSR_APIC_BASE, 0xfee00900));
	CHECK_EQ(rig_pending(0), -1);
}

TEST(entering_x2apic_mode_keeps_state)
{
	rig_start(1);
	rig_write(0, TPR, 0x33);
	rig_write(0, LVT_T, 0xef);
	rig_write(0, TMICT, 1000);
	rig_write(0, ICR_HIGH, 0x05000000);
	post(0, 0x60, false);
	rig_x2apic(0);
	CHECK_EQ(rig_rdmsr(0, msr_of(TPR)), 0x33);
	CHECK_EQ(rig_rdmsr(0, msr_of(LVT_T)), 0xef);
	CHECK_EQ(rig_rdmsr(0, msr_of(TMCCT)), 1000);
	CHECK_EQ(rig_rdmsr(0, msr_of(ICR)), 0);
	CHECK_EQ(rig_deliver(0), 0x60);
}
