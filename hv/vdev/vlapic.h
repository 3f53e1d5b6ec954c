/*
 * The virtual local APIC of one vCPU: xAPIC registers, x2APIC MSRs, the timer (Intel SDM vol. 3,
 * "Advanced Programmable Interrupt Controller (APIC)").
 *
 * The owner CPU calls everything here except vlapic_accept and the apic_bus functions, which any CPU
 * may call: they touch only `posted*` (atomic OR) of the target and read its published identity.
 * The timer counts at `apic_bus.timer_hz`: guest TSC ticks shifted right by timer_shift, so no
 * division is ever needed.
 */
#pragma once

#include "hv/bus.h"
#include "hv/types.h"
#include <stdatomic.h>

enum { VLAPIC_BASE_DEFAULT = 0xfee00000u };

/* ICR, MSI and IOAPIC message, in the terms of "Interrupt Command Register". */
enum apic_delivery { APIC_FIXED, APIC_LOWEST, APIC_SMI, APIC_RESERVED, APIC_NMI, APIC_INIT,
		     APIC_SIPI, APIC_EXTINT };

struct apic_message {
	uint32_t dest;	 /* APIC id or logical destination; 0xff (xAPIC) or 0xffffffff: all */
	uint8_t vector;
	enum apic_delivery delivery;
	bool logical;
	bool level;	 /* level-triggered: the EOI is broadcast to the IOAPIC */
	bool x2apic;	 /* dest is a 32-bit x2APIC destination (from an x2APIC ICR) */
};

struct vlapic;

/* All vlapics of a partition, and what they ask of the rest. */
struct apic_bus {
	struct vlapic *lapic[64];
	unsigned count;
	unsigned timer_shift;	/* timer clock = TSC >> timer_shift */
	bool tsc_deadline;	/* CPUID shows TSC-deadline mode */
	void *ctx;
	/* Something was posted to vlapic `index` (vectors) by any CPU. */
	void (*intr)(void *ctx, unsigned index);
	void (*nmi)(void *ctx, unsigned index);
	void (*init)(void *ctx, unsigned index);
	void (*sipi)(void *ctx, unsigned index, uint8_t vector);
	/* EOI of a level-triggered vector: the IOAPIC looks for it. */
	void (*eoi)(void *ctx, uint8_t vector);
	_Atomic uint32_t lowest_priority_next; /* rotates among equal candidates */
};

struct vlapic {
	uint32_t apic_id; /* x2APIC id; xAPIC id is its low 8 bits */
	_Atomic uint64_t base; /* IA32_APIC_BASE as the guest sees it; other CPUs read the mode */
	uint8_t tpr;
	_Atomic uint32_t ldr, dfr; /* other CPUs read these for logical destinations */
	_Atomic uint32_t svr;
	uint32_t esr, esr_pending;
	uint32_t icr_high, icr_low;
	uint32_t lvt_cmci, lvt_timer, lvt_thermal, lvt_perf, lvt_lint0, lvt_lint1, lvt_error;
	uint32_t timer_initial, timer_divide;
	uint64_t timer_start;	 /* host TSC when the count was written */
	uint64_t timer_deadline; /* host TSC of the next expiry, UINT64_MAX: none */
	uint64_t tsc_deadline;	 /* IA32_TSC_DEADLINE as written (guest TSC), 0: disarmed */
	uint32_t irr[8], isr[8], tmr[8];
	_Atomic uint32_t posted[8], posted_level[8];
	_Atomic bool posted_any;
	struct apic_bus *bus;
	unsigned index; /* in bus->lapic */
	const uint64_t *tsc_offset; /* guest TSC = host TSC + *tsc_offset */
};

void vlapic_init(struct vlapic *a, struct apic_bus *bus, unsigned index, uint32_t apic_id,
		 bool bootstrap, const uint64_t *tsc_offset);
/* RESET# (init false) or INIT (keeps IA32_APIC_BASE and the id). Drops everything posted. */
void vlapic_reset(struct vlapic *a, bool init);

/* The 4 KiB MMIO page of the calling vCPU's LAPIC; ignored (ones) in x2APIC mode or when disabled. */
void vlapic_access(struct vlapic *a, struct bus_access *access);

/*
 * IA32_APIC_BASE, IA32_TSC_DEADLINE and the x2APIC MSRs 0x800-0x8ff. now: host TSC.
 * False: the guest gets #GP(0) (reserved bits, wrong mode, read-only or write-only register).
 */
bool vlapic_rdmsr(struct vlapic *a, uint32_t msr, uint64_t now, uint64_t *value);
bool vlapic_wrmsr(struct vlapic *a, uint32_t msr, uint64_t now, uint64_t value);

/* Posts a fixed vector from any CPU and calls bus->intr. A disabled APIC drops it. */
void vlapic_accept(struct vlapic *a, uint8_t vector, bool level);

/*
 * The vector to deliver next: highest in IRR (after taking in what was posted) whose class is above
 * the ISR's; -1 if none. *blocked_by_tpr is its class (1-15) when only the TPR holds it back, in
 * which case -1 is returned; else 0.
 */
int vlapic_pending(struct vlapic *a, unsigned *blocked_by_tpr);
/* The CPU accepted `vector`: IRR -> ISR. */
void vlapic_ack(struct vlapic *a, uint8_t vector);
/* Does LINT0 (or a disabled APIC, which passes INTR through) let the 8259's output in? */
bool vlapic_accepts_pic(const struct vlapic *a);
void vlapic_set_tpr(struct vlapic *a, uint8_t tpr);

/* Host TSC of the next timer expiry, UINT64_MAX when none. */
static inline uint64_t vlapic_timer_next(const struct vlapic *a)
{
	return a->timer_deadline;
}
/* Fires the timer if it is due at `now`, and arms the next period. */
void vlapic_timer_run(struct vlapic *a, uint64_t now);

/*
 * Routes a message (ICR without shorthand, IOAPIC, MSI) to all vlapics it addresses. `from` is
 * NULL for devices. False: nobody accepted it.
 */
bool apic_bus_send(struct apic_bus *bus, const struct apic_message *m);
