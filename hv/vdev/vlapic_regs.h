/*
 * What the files of the virtual LAPIC share among themselves: the register map and the inner calls.
 *
 * Private to hv/vdev/vlapic*.c and apic_bus.c. Owner CPU only.
 */
#pragma once

#include "hv/vdev/vlapic.h"

/*
 * Registers by MMIO offset >> 4, which is also the MSR number - 0x800 (Intel SDM vol. 3, "The Local
 * APIC Block Diagram" and "x2APIC Register Address Space").
 */
enum vlapic_reg {
	REG_ID = 0x02,
	REG_VERSION = 0x03,
	REG_TPR = 0x08,
	REG_APR = 0x09,
	REG_PPR = 0x0a,
	REG_EOI = 0x0b,
	REG_RRD = 0x0c,
	REG_LDR = 0x0d,
	REG_DFR = 0x0e,
	REG_SVR = 0x0f,
	REG_ISR = 0x10,
	REG_TMR = 0x18,
	REG_IRR = 0x20,
	REG_ESR = 0x28,
	REG_ICR = 0x30,
	REG_ICR_HIGH = 0x31,
	REG_LVT = 0x32, /* enum vlapic_lvt follows */
	REG_TIMER_INITIAL = 0x38,
	REG_TIMER_CURRENT = 0x39,
	REG_TIMER_DIVIDE = 0x3e,
	REG_SELF_IPI = 0x3f,
};

enum {
	LVT_VECTOR = FIELD(7, 0),
	LVT_DELIVERY = FIELD(10, 8),
	LVT_STATUS = BIT(12), /* read-only, always 0 here */
	LVT_POLARITY = BIT(13),
	LVT_REMOTE_IRR = BIT(14), /* read-only, always 0 here */
	LVT_LEVEL = BIT(15),
	LVT_MASKED = BIT(16),
	LVT_PERIODIC = BIT(17),
	LVT_TSC_DEADLINE = BIT(18),
};

enum {
	ICR_VECTOR = FIELD(7, 0),
	ICR_DELIVERY = FIELD(10, 8),
	ICR_LOGICAL = BIT(11),
	ICR_STATUS = BIT(12), /* always 0: whatever is sent has arrived */
	ICR_ASSERT = BIT(14),
	ICR_LEVEL = BIT(15),
	ICR_SHORTHAND = FIELD(19, 18),
	ICR_SELF = BIT(18), /* shorthand */
};

/* "Error Handling": bits of the ESR that can happen here. */
enum { ESR_SEND_ILLEGAL = BIT(5), ESR_RECEIVE_ILLEGAL = BIT(6), ESR_ILLEGAL_REGISTER = BIT(7) };

enum { VECTOR_LEGAL = 16 }; /* the first vector that interrupts may use */

/* vlapic.c */
void vlapic_take_posted(struct vlapic *a);
/* An edge-triggered interrupt from inside: timer, error, self-IPI. */
void vlapic_local(struct vlapic *a, uint8_t vector);
void vlapic_error(struct vlapic *a, uint32_t bits);
void vlapic_eoi(struct vlapic *a);
uint8_t vlapic_ppr(const struct vlapic *a);
/* Back to the state after INIT, except for IA32_APIC_BASE and the id. */
void vlapic_clear(struct vlapic *a);

/* vlapic_timer.c */
void vlapic_timer_reset(struct vlapic *a);
/* The timer's vector was ended by EOI: one of the owed ticks goes out. */
void vlapic_timer_pay(struct vlapic *a);
void vlapic_timer_write_lvt(struct vlapic *a, uint32_t value, uint64_t now);
void vlapic_timer_write_initial(struct vlapic *a, uint32_t value, uint64_t now);
void vlapic_timer_write_divide(struct vlapic *a, uint32_t value, uint64_t now);
uint32_t vlapic_timer_current(struct vlapic *a, uint64_t now);
uint64_t vlapic_timer_read_deadline(struct vlapic *a, uint64_t now);
void vlapic_timer_write_deadline(struct vlapic *a, uint64_t value, uint64_t now);
