/*
 * hv/vdev/vlapic.c and vlapic_regs.c: registers in both views, priorities, EOI, errors, LVTs,
 * IA32_APIC_BASE (Intel SDM vol. 3, "Advanced Programmable Interrupt Controller (APIC)").
 */
#include "hv/msr_index.h"
#include "tests/fake/apic_rig.h"
#include "tests/host/test.h"
#include <pthread.h>
#include <threads.h>

enum { ID = 0x20, VERSION = 0x30, TPR = 0x80, APR = 0x90, PPR = 0xa0, EOI = 0xb0, RRD = 0xc0,
       LDR = 0xd0, DFR = 0xe0, SVR = 0xf0, ISR = 0x100, TMR = 0x180, IRR = 0x200, ESR = 0x280,
       CMCI = 0x2f0, ICR = 0x300, ICR_HIGH = 0x310, LVT_T = 0x320, LVT_TH = 0x330, LVT_PC = 0x340,
       LVT_0 = 0x350, LVT_1 = 0x360, LVT_E = 0x370, TMICT = 0x380, TMCCT = 0x390, TDCR = 0x3e0,
       SELF = 0x3f0 };

enum { X2 = 0x800 }; /* MSR = X2 + offset / 16 */

static uint32_t msr_of(unsigned offset)
{
	return X2 + offset / 16;
}

static void post(unsigned index, uint8_t vector, bool level)
{
	vlapic_accept(&rig.lapic[index], vector, level);
}

static uint32_t esr(unsigned index)
{
	rig_write(index, ESR, 0);
	return rig_read(index, ESR);
}

static unsigned blocked_class(unsigned index)
{
	unsigned blocked = 99;

	CHECK_EQ(vlapic_pending(&rig.lapic[index], &blocked), -1);
	return blocked;
}

/* --- reset --- */

TEST(reset_state_of_an_application_cpu)
{
	rig_start(2);
	vlapic_reset(&rig.lapic[1], false);
	CHECK_EQ(rig_rdmsr(1, MSR_APIC_BASE), 0xfee00800);
	CHECK_EQ(rig_read(1, ID), 0x01000000);
	CHECK_EQ(rig_read(1, VERSION), 0x01050014);
	CHECK_EQ(rig_read(1, SVR), 0xff);
	CHECK_EQ(rig_read(1, DFR), 0xffffffff);
	CHECK_EQ(rig_read(1, LDR), 0);
	CHECK_EQ(rig_read(1, TPR), 0);
	for (unsigned offset = LVT_T; offset <= LVT_E; offset += 16) {
		CHECK_EQ(rig_read(1, offset), 0x10000);
	}
	CHECK_EQ(rig_read(1, TMICT), 0);
	CHECK_EQ(rig_read(1, TMCCT), 0);
	CHECK_EQ(rig_read(1, TDCR), 0);
	CHECK_EQ(rig_read(1, ICR), 0);
	CHECK_EQ(rig_read(1, ESR), 0);
	CHECK(!vlapic_accepts_pic(&rig.lapic[1]));
}

TEST(bootstrap_cpu_starts_in_virtual_wire_mode)
{
	rig_start(1);
	CHECK_EQ(rig_rdmsr(0, MSR_APIC_BASE), 0xfee00900);
	CHECK_EQ(rig_read(0, SVR), 0x1ff);
	CHECK_EQ(rig_read(0, LVT_0), 0x8700);
	CHECK_EQ(rig_read(0, LVT_1), 0x8400);
	CHECK(vlapic_accepts_pic(&rig.lapic[0]));
	vlapic_reset(&rig.lapic[0], true); /* INIT */
	CHECK_EQ(rig_rdmsr(0, MSR_APIC_BASE), 0xfee00900);
	CHECK_EQ(rig_read(0, SVR), 0xff);
	CHECK_EQ(rig_read(0, LVT_0), 0x10000);
	CHECK(!vlapic_accepts_pic(&rig.lapic[0]));
}

TEST(reset_drops_everything)
{
	rig_start(1);
	post(0, 0x40, false);
	rig_deliver(0);
	post(0, 0x50, true);
	rig_pending(0);
	post(0, 0x60, false);
	post(0, 3, false);
	rig_write(0, TPR, 0x77);
	rig_write(0, TMICT, 1000);
	vlapic_reset(&rig.lapic[0], true);
	rig_write(0, SVR, 0x1ff);
	CHECK_EQ(rig_pending(0), -1);
	CHECK_EQ(rig_read(0, ISR + 0x20), 0);
	CHECK_EQ(rig_read(0, IRR + 0x20), 0);
	CHECK_EQ(rig_read(0, TMR + 0x20), 0);
	CHECK_EQ(rig_read(0, TPR), 0);
	CHECK_EQ(esr(0), 0);
	CHECK_EQ(vlapic_timer_next(&rig.lapic[0]), UINT64_MAX);
	post(0, 0x41, false);
	CHECK_EQ(rig_deliver(0), 0x41);
}

TEST(init_keeps_x2apic_mode)
{
	rig_start(2);
	rig_x2apic(1);
	vlapic_reset(&rig.lapic[1], true);
	CHECK_EQ(rig_rdmsr(1, MSR_APIC_BASE), 0xfee00c00);
	CHECK_EQ(rig_rdmsr(1, msr_of(ID)), 1);
	vlapic_reset(&rig.lapic[1], false);
	CHECK_EQ(rig_rdmsr(1, MSR_APIC_BASE), 0xfee00800);
}

/* --- priorities --- */

TEST(the_highest_vector_comes_first)
{
	static const uint8_t order[] = {0xff, 0xe0, 0x9f, 0x41, 0x40, 0x3f, 0x20, 0x10};

	rig_start(1);
	for (unsigned i = ARRAY_SIZE(order); i > 0; i--) {
		post(0, order[i - 1], false);
	}
	for (unsigned i = 0; i < ARRAY_SIZE(order); i++) {
		CHECK_EQ(rig_deliver(0), order[i]);
		rig_write(0, EOI, 0);
	}
	CHECK_EQ(rig_deliver(0), -1);
}

TEST(every_vector_can_be_delivered)
{
	rig_start(1);
	for (unsigned vector = 16; vector < 256; vector++) {
		post(0, (uint8_t)vector, false);
		CHECK_EQ(rig_read(0, IRR + (vector / 32) * 16), 1u << vector % 32);
		CHECK_EQ(rig_deliver(0), (int)vector);
		CHECK_EQ(rig_read(0, IRR + (vector / 32) * 16), 0);
		CHECK_EQ(rig_read(0, ISR + (vector / 32) * 16), 1u << vector % 32);
		CHECK_EQ(rig_read(0, PPR), vector & 0xf0);
		rig_write(0, EOI, 0);
		CHECK_EQ(rig_read(0, ISR + (vector / 32) * 16), 0);
		CHECK_EQ(rig_read(0, PPR), 0);
	}
}

TEST(isr_nests_by_class)
{
	rig_start(1);
	post(0, 0x45, false);
	CHECK_EQ(rig_deliver(0), 0x45);
	post(0, 0x4f, false); /* same class: waits, and the TPR is not the reason */
	CHECK_EQ(blocked_class(0), 0);
	post(0, 0x51, false);
	CHECK_EQ(rig_deliver(0), 0x51);
	CHECK_EQ(rig_read(0, PPR), 0x50);
	post(0, 0x45, false); /* again while in service: one more is remembered */
	post(0, 0x45, false);
	rig_write(0, EOI, 0); /* ends 0x51 */
	CHECK_EQ(rig_read(0, PPR), 0x40);
	CHECK_EQ(rig_deliver(0), -1);
	rig_write(0, EOI, 0); /* ends 0x45 */
	CHECK_EQ(rig_deliver(0), 0x4f);
	rig_write(0, EOI, 0);
	CHECK_EQ(rig_deliver(0), 0x45);
	rig_write(0, EOI, 0);
	CHECK_EQ(rig_deliver(0), -1);
}

TEST(eoi_with_nothing_in_service)
{
	rig_start(1);
	rig_write(0, EOI, 0);
	post(0, 0x30, true); /* in IRR only */
	rig_pending(0);
	rig_take_log();
	rig_write(0, EOI, 0);
	CHECK_STR(rig_take_log(), "");
	CHECK_EQ(rig_deliver(0), 0x30);
}

TEST(tpr_holds_back_by_class)
{
	rig_start(1);
	post(0, 0x5f, false);
	rig_write(0, TPR, 0x50);
	CHECK_EQ(blocked_class(0), 5);
	rig_write(0, TPR, 0x4f);
	CHECK_EQ(rig_pending(0), 0x5f);
	vlapic_set_tpr(&rig.lapic[0], 0xf0);
	CHECK_EQ(rig_read(0, TPR), 0xf0);
	CHECK_EQ(blocked_class(0), 5);
	vlapic_set_tpr(&rig.lapic[0], 0);
	CHECK_EQ(rig_deliver(0), 0x5f);
	/* In service and by the TPR at once: lowering the TPR would not help. */
	rig_write(0, TPR, 0x70);
	post(0, 0x58, false);
	CHECK_EQ(blocked_class(0), 0);
	post(0, 0x61, false);
	CHECK_EQ(blocked_class(0), 6);
}

TEST(ppr_is_the_greater_of_tpr_and_isr)
{
	rig_start(1);
	rig_write(0, TPR, 0x47);
	CHECK_EQ(rig_read(0, PPR), 0x47);
	post(0, 0x5a, false);
	rig_deliver(0);
	CHECK_EQ(rig_read(0, PPR), 0x50);
	rig_write(0, TPR, 0x53); /* equal classes: TPR, with its subclass */
	CHECK_EQ(rig_read(0, PPR), 0x53);
	rig_write(0, TPR, 0x61);
	CHECK_EQ(rig_read(0, PPR), 0x61);
	rig_write(0, TPR, 0x4f);
	CHECK_EQ(rig_read(0, PPR), 0x50);
}

TEST(nothing_pending_reports_nothing)
{
	rig_start(1);
	CHECK_EQ(blocked_class(0), 0);
}

/* --- level, TMR, EOI broadcast --- */

TEST(level_vectors_broadcast_their_eoi)
{
	rig_start(1);
	post(0, 0x31, true);
	post(0, 0x32, false);
	CHECK_EQ(rig_read(0, TMR + 0x10), 1u << 0x11);
	CHECK_STR(rig_take_log(), "intr 0, intr 0");
	CHECK_EQ(rig_deliver(0), 0x32);
	rig_write(0, EOI, 0);
	CHECK_STR(rig_take_log(), "");
	CHECK_EQ(rig_deliver(0), 0x31);
	rig_write(0, EOI, 0);
	CHECK_STR(rig_take_log(), "eoi 31");
	post(0, 0x31, false); /* the next message decides anew */
	CHECK_EQ(rig_deliver(0), 0x31);
	CHECK_EQ(rig_read(0, TMR + 0x10), 0);
	rig_take_log();
	rig_write(0, EOI, 0);
	CHECK_STR(rig_take_log(), "");
}

TEST(posted_both_ways_counts_as_level)
{
	for (unsigned first = 0; first < 2; first++) {
		rig_start(1);
		post(0, 0x90, first == 0);
		post(0, 0x90, first == 1);
		CHECK_EQ(rig_deliver(0), 0x90);
		CHECK_EQ(rig_deliver(0), -1);
		rig_take_log();
		rig_write(0, EOI, 0);
		CHECK_STR(rig_take_log(), "eoi 90");
	}
}

TEST(suppressed_eoi_broadcast)
{
	rig_start(1);
	rig_write(0, SVR, 0x11ff);
	CHECK_EQ(rig_read(0, SVR), 0x11ff);
	post(0, 0x31, true);
	rig_deliver(0);
	rig_take_log();
	rig_write(0, EOI, 0);
	CHECK_STR(rig_take_log(), "");
	CHECK_EQ(rig_read(0, ISR + 0x10), 0);
}

/* --- enabling --- */

TEST(software_disabled_takes_no_vectors)
{
	rig_start(1);
	post(0, 0x40, false);
	rig_pending(0);
	rig_write(0, SVR, 0xff);
	rig_take_log();
	post(0, 0x50, false);
	CHECK_STR(rig_take_log(), "");
	CHECK_EQ(rig_deliver(0), 0x40); /* what was in IRR is held and delivered */
	rig_write(0, EOI, 0);
	rig_write(0, SVR, 0x1ff);
	CHECK_EQ(rig_deliver(0), -1);
}

TEST(software_disable_masks_all_lvts_and_they_stick)
{
	rig_start(1);
	for (unsigned offset = LVT_T; offset <= LVT_E; offset += 16) {
		rig_write(0, offset, 0x40);
		CHECK_EQ(rig_read(0, offset), 0x40);
	}
	rig_write(0, SVR, 0x0ff);
	for (unsigned offset = LVT_T; offset <= LVT_E; offset += 16) {
		CHECK_EQ(rig_read(0, offset), 0x10040);
		rig_write(0, offset, 0x41);
		CHECK_EQ(rig_read(0, offset), 0x10041);
	}
	rig_write(0, SVR, 0x1ff);
	for (unsigned offset = LVT_T; offset <= LVT_E; offset += 16) {
		CHECK_EQ(rig_read(0, offset), 0x10041); /* enabling unmasks nothing */
		rig_write(0, offset, 0x41);
		CHECK_EQ(rig_read(0, offset), 0x41);
	}
}

TEST(the_8259_goes_through_lint0)
{
	rig_start(1);
	rig_write(0, LVT_0, 0x10700);
	CHECK(!vlapic_accepts_pic(&rig.lapic[0])); /* masked */
	rig_write(0, LVT_0, 0x400);
	CHECK(!vlapic_accepts_pic(&rig.lapic[0])); /* NMI */
	rig_write(0, LVT_0, 0x700);
	CHECK(vlapic_accepts_pic(&rig.lapic[0]));
	rig_write(0, SVR, 0xff);
	CHECK(!vlapic_accepts_pic(&rig.lapic[0]));
	rig_wrmsr(0, MSR_APIC_BASE, 0xfee00100);
	CHECK(vlapic_accepts_pic(&rig.lapic[0])); /* no APIC: INTR goes straight through */
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
	static const unsigned reads[] = {ID, VERSION, TPR, APR, PPR, EOI, RRD, LDR, DFR, SVR, ESR,
					 ICR, ICR_HIGH, LVT_T, LVT_TH, LVT_PC, LVT_0, LVT_1, LVT_E,
					 TMICT, TMCCT, TDCR};

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
		{TPR, 0xff}, {LDR, 0xff000000}, {SVR, 0x13ff}, {ICR_HIGH, 0xff000000},
		{LVT_T, 0x700ff}, {LVT_TH, 0x107ff}, {LVT_PC, 0x107ff}, {LVT_0, 0x1a7ff},
		{LVT_1, 0x1a7ff}, {LVT_E, 0x100ff}, {TDCR, 0xb},
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
	rig_write(0, ICR, 0xffffffff & ~0x700u); /* fixed, all but self: nobody there */
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
		{TPR, 0xff}, {EOI, 0}, {SVR, 0x13ff}, {ESR, 0}, {LVT_T, 0x710ff},
		{LVT_TH, 0x117ff}, {LVT_PC, 0x117ff}, {LVT_0, 0x1f7ff}, {LVT_1, 0x1f7ff},
		{LVT_E, 0x110ff}, {TMICT, 0xffffffff}, {TDCR, 0xb}, {SELF, 0xff},
		{ICR, 0xffffffff000cdfff},
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

/* --- posting from many threads --- */

enum { THREADS = 6, ROUNDS = 20000 };
static _Atomic uint32_t acknowledged[THREADS], finished;
static _Atomic unsigned bell;

static void ring_bell(void *ctx, unsigned index)
{
	(void)ctx;
	(void)index;
	atomic_fetch_add(&bell, 1);
}

static void no_eoi(void *ctx, uint8_t vector)
{
	(void)ctx;
	(void)vector;
}

/* Each thread posts its vector again only when the one before was seen: a loss would hang it. */
static void *poster(void *arg)
{
	unsigned n = (unsigned)(uintptr_t)arg;
	uint8_t vector = (uint8_t)(0x40 + n); /* all in one word */

	for (uint32_t round = 1; round <= ROUNDS; round++) {
		unsigned spins = 0;

		vlapic_accept(&rig.lapic[0], vector, n & 1);
		while (atomic_load(&acknowledged[n]) != round) {
			if (++spins > 64) {
				struct timespec nap = {.tv_nsec = 1000};

				thrd_sleep(&nap, NULL);
			}
			if (spins > 5000000) {
				return "lost";
			}
		}
	}
	atomic_fetch_add(&finished, 1);
	return NULL;
}

TEST(no_vector_is_lost_between_threads)
{
	pthread_t thread[THREADS];
	unsigned idle = 0, wrong_mode = 0;

	rig_start(1);
	rig.bus.intr = ring_bell;
	rig.bus.eoi = no_eoi;
	for (uintptr_t i = 0; i < THREADS; i++) {
		pthread_create(&thread[i], NULL, poster, (void *)i);
	}
	while (atomic_load(&finished) < THREADS && idle < 100000000) {
		int vector = rig_deliver(0);

		if (vector < 0) {
			idle++;
			continue;
		}
		idle = 0;
		wrong_mode += (rig.lapic[0].tmr[2] >> (vector - 0x40) & 1) != (vector & 1u);
		rig_write(0, EOI, 0);
		atomic_fetch_add(&acknowledged[vector - 0x40], 1);
	}
	for (unsigned i = 0; i < THREADS; i++) {
		void *result;

		pthread_join(thread[i], &result);
		CHECK(!result);
	}
	CHECK_EQ(wrong_mode, 0);
	CHECK_EQ(atomic_load(&bell), THREADS * ROUNDS);
	for (unsigned i = 0; i < THREADS; i++) {
		CHECK_EQ(atomic_load(&acknowledged[i]), ROUNDS);
	}
}
