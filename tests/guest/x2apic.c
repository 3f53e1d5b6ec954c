/*
 * x2APIC mode: registers as MSRs, what is #GP there, self-IPI, the 64-bit ICR, the timer, and the
 * transitions of IA32_APIC_BASE.
 */
#include "guest.h"

GUEST("x2apic");

enum { VECTOR = 0x56, ENABLED = 1 << 11, X2 = 1 << 10, SELF_IPI = 0x83f };

static volatile unsigned taken;

static void handler(struct frame *f)
{
	(void)f;
	taken++;
	lapic_eoi();
}

static int write_reg(enum lapic_register r, uint64_t value)
{
	return try_wrmsr(MSR_X2APIC + r / 16, value);
}

void guest_main(void)
{
	uint64_t base = rdmsr(MSR_APIC_BASE), value;
	uint32_t count;

	CHECK(base & ENABLED);
	CHECK(base & 1 << 8);
	CHECK(cpuid(1, 0).c >> 21 & 1);
	lapic_enable();
	on_interrupt(VECTOR, handler);
	CHECK_EQ(try_rdmsr(MSR_X2APIC + LAPIC_ID / 16, &value), EXC_GP); /* not yet */
	wrmsr(MSR_APIC_BASE, base | X2);
	lapic_x2 = true;
	CHECK_EQ(rdmsr(MSR_APIC_BASE), base | X2);
	CHECK_EQ(mmio_read(LAPIC + LAPIC_VERSION), 0xffffffff); /* the page is gone */

	CHECK_EQ(lapic_id(), cpuid(0xb, 0).d);
	CHECK_EQ(lapic_read(LAPIC_LDR), (lapic_id() >> 4) << 16 | 1u << (lapic_id() & 15));
	CHECK_EQ(lapic_read(LAPIC_SVR), 0x1ff);
	CHECK_EQ(write_reg(LAPIC_ID, 1), EXC_GP);
	CHECK_EQ(write_reg(LAPIC_LDR, 1), EXC_GP);
	CHECK_EQ(write_reg(LAPIC_EOI, 1), EXC_GP);
	CHECK_EQ(write_reg(LAPIC_ESR, 1), EXC_GP);
	CHECK_EQ(write_reg(LAPIC_TPR, 1ul << 32), EXC_GP);
	CHECK_EQ(write_reg(LAPIC_SVR, 1 << 20), EXC_GP);
	CHECK_EQ(try_rdmsr(MSR_X2APIC + LAPIC_EOI / 16, &value), EXC_GP);
	CHECK_EQ(try_rdmsr(MSR_X2APIC + LAPIC_ICR2 / 16, &value), EXC_GP);
	CHECK_EQ(try_rdmsr(MSR_X2APIC + LAPIC_DFR / 16, &value), EXC_GP);
	CHECK_EQ(try_rdmsr(SELF_IPI, &value), EXC_GP);

	wrmsr(SELF_IPI, VECTOR);
	CHECK_EQ(lapic_read((enum lapic_register)(LAPIC_IRR + VECTOR / 32 * 16)) >> VECTOR % 32 & 1, 1);
	interrupts_on();
	interrupts_off();
	CHECK_EQ(taken, 1);
	lapic_send(lapic_id(), ICR_ASSERT | VECTOR);
	interrupts_on();
	interrupts_off();
	CHECK_EQ(taken, 2);
	CHECK_EQ(rdmsr(MSR_X2APIC + LAPIC_ICR / 16), (uint64_t)lapic_id() << 32 | ICR_ASSERT | VECTOR);
	lapic_send(lapic_read(LAPIC_LDR), ICR_LOGICAL | ICR_ASSERT | VECTOR);
	lapic_send(0xffffffff, ICR_ASSERT | VECTOR);
	interrupts_on();
	interrupts_off();
	CHECK_EQ(taken, 3); /* one bit in IRR for both */
	lapic_write(LAPIC_TPR, 0x60);
	wrmsr(SELF_IPI, VECTOR);
	interrupts_on();
	interrupts_off();
	CHECK_EQ(taken, 3);
	lapic_write(LAPIC_TPR, 0);
	interrupts_on();
	interrupts_off();
	CHECK_EQ(taken, 4);

	count = (uint32_t)(lapic_timer_hz() / 1000);
	lapic_write(LAPIC_TIMER, VECTOR);
	lapic_write(LAPIC_INITIAL, count);
	halt();
	CHECK_EQ(taken, 5);

	/* x2APIC to xAPIC is only legal by way of off. */
	CHECK_EQ(try_wrmsr(MSR_APIC_BASE, base), EXC_GP);
	CHECK_EQ(try_wrmsr(MSR_APIC_BASE, base & ~(uint64_t)ENABLED & ~(uint64_t)X2), -1);
	CHECK_EQ(try_wrmsr(MSR_APIC_BASE, (base & ~(uint64_t)ENABLED) | X2), EXC_GP);
	CHECK_EQ(try_wrmsr(MSR_APIC_BASE, base), -1);
	lapic_x2 = false;
	CHECK_EQ(lapic_read(LAPIC_SVR) & 0x100, 0); /* as after reset */
	lapic_enable();
	lapic_send(0, ICR_SELF | ICR_ASSERT | VECTOR);
	interrupts_on();
	interrupts_off();
	CHECK_EQ(taken, 6);
}
