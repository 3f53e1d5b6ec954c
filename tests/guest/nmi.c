/*
 * NMI to self: taken at once, held back until IRET, one more is remembered, never two; and a
 * maskable interrupt inside the handler when it opens IF.
 */
#include "guest.h"

GUEST("nmi");

enum { VECTOR = 0x52 };

static volatile unsigned nmis, depth, deepest, interrupts;

static void send(void)
{
	lapic_send(lapic_id(), ICR_NMI | ICR_ASSERT);
}

/* The ICR is written in the shadow of MOV SS, which the hypervisor has to end by itself. */
static void send_in_shadow(void)
{
	lapic_write(LAPIC_ICR2, lapic_id() << 24);
	__asm__ volatile("movw %%ss, %%cx; movw %%cx, %%ss; movl %0, (%1); nop"
			 :
			 : "r"(ICR_NMI | ICR_ASSERT), "r"((uintptr_t)LAPIC + LAPIC_ICR)
			 : "rcx", "memory");
}

static void on_nmi(struct frame *f)
{
	(void)f;
	nmis++;
	depth++;
	deepest = depth > deepest ? depth : deepest;
	if (nmis == 1) {
		send();
		send();
		(void)in8(0x61);
		(void)lapic_read(LAPIC_VERSION);
		CHECK_EQ(nmis, 1);
	}
	depth--;
}

static void on_vector(struct frame *f)
{
	(void)f;
	interrupts++;
	lapic_eoi();
}

void guest_main(void)
{
	lapic_enable();
	on_interrupt(EXC_NMI, on_nmi);
	on_interrupt(VECTOR, on_vector);
	send();
	(void)in8(0x61);
	CHECK(nmis == 2 || nmis == 3); /* two sent while blocked: remembered as one, or as both */
	CHECK_EQ(deepest, 1);
	/* The same when the first one comes out of an interrupt shadow. */
	nmis = 0;
	send_in_shadow();
	(void)in8(0x61);
	CHECK(nmis == 2 || nmis == 3);
	CHECK_EQ(deepest, 1);
	/* The block ends with the IRET: the next one comes again. */
	nmis = 10;
	send();
	CHECK_EQ(nmis, 11);
	/* An NMI and an interrupt at once: both, the NMI first. */
	nmis = 20;
	lapic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
	send();
	CHECK_EQ(nmis, 21);
	CHECK_EQ(interrupts, 0);
	interrupts_on();
	interrupts_off();
	CHECK_EQ(interrupts, 1);
}
