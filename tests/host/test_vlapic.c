/*
 * hv/vdev/vlapic.c: reset, priorities, EOI, enabling, and posting from many threads (Intel SDM vol.
 * 3, "Handling Interrupts" of the APIC chapter).
 */
#include "hv/msr_index.h"
#include "tests/fake/apic_regs.h"
#include "tests/fake/apic_rig.h"
#include "tests/host/test.h"
#include <pthread.h>
#include <threads.h>

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

TEST(an_inner_interrupt_is_an_edge)
{
	rig_start(1);
	post(0, 0x90, true);
	rig_deliver(0);
	rig_write(0, EOI, 0);
	CHECK_EQ(rig_read(0, TMR + 0x40), 1u << 16);
	rig_take_log();
	rig_write(0, ICR, 0x44090); /* self */
	CHECK_EQ(rig_read(0, TMR + 0x40), 0);
	CHECK_EQ(rig_deliver(0), 0x90);
	rig_write(0, EOI, 0);
	CHECK_STR(rig_take_log(), "");
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
