/*
 * The registers of the virtual LAPIC: the xAPIC page, the x2APIC MSRs and IA32_APIC_BASE (Intel SDM
 * vol. 3, "Local APIC" and "Extended XAPIC (x2APIC)").
 *
 * Callers: exit.c and msr.c on the owner CPU. One numbering serves both views, so which registers a
 * view has, and which bits of one may be written, are constants to test against, and one switch
 * does the rest.
 */
#include "hv/vdev/vlapic_regs.h"
#include "hv/msr_index.h"

enum { VERSION = 0x01050014 }; /* EOI broadcast suppression, LVT entries 0-5, integrated APIC */

#define REG(r) BIT(r)
#define REGS_COMMON                                                                                \
	(REG(REG_TPR) | REG(REG_SVR) | REG(REG_ESR) | REG(REG_ICR) | FIELD(0x37, 0x32) |           \
	 REG(REG_TIMER_INITIAL) | REG(REG_TIMER_DIVIDE))
#define REGS_READ_ONLY                                                                             \
	(REG(REG_ID) | REG(REG_VERSION) | REG(REG_PPR) | REG(REG_LDR) | FIELD(0x27, 0x10) |        \
	 REG(REG_TIMER_CURRENT))

/* In xAPIC mode reading a write-only and writing a read-only register are no errors. */
static const uint64_t xapic_exists = REGS_COMMON | REGS_READ_ONLY | REG(REG_APR) | REG(REG_EOI) |
				     REG(REG_RRD) | REG(REG_DFR) | REG(REG_ICR_HIGH);
static const uint64_t x2apic_readable = REGS_COMMON | REGS_READ_ONLY;
static const uint64_t x2apic_writable = REGS_COMMON | REG(REG_EOI) | REG(REG_SELF_IPI);

/* Bits that an x2APIC write may have set; the read-only ones among them are dropped later. */
static const uint32_t writable[64] = {
	[REG_TPR] = 0xff,
	[REG_EOI] = 0,
	[REG_SVR] = APIC_SVR_VECTOR | APIC_SVR_ENABLE | APIC_SVR_FOCUS | APIC_SVR_NO_EOI_BROADCAST,
	[REG_ESR] = 0,
	[REG_ICR] = ICR_VECTOR | ICR_DELIVERY | ICR_LOGICAL | ICR_STATUS | ICR_ASSERT | ICR_LEVEL |
		    ICR_SHORTHAND,
	[REG_LVT + LVT_TIMER] = LVT_VECTOR | LVT_STATUS | LVT_MASKED | LVT_PERIODIC |
				LVT_TSC_DEADLINE,
	[REG_LVT + LVT_THERMAL] = LVT_VECTOR | LVT_DELIVERY | LVT_STATUS | LVT_MASKED,
	[REG_LVT + LVT_PERF] = LVT_VECTOR | LVT_DELIVERY | LVT_STATUS | LVT_MASKED,
	[REG_LVT + LVT_LINT0] = LVT_VECTOR | LVT_DELIVERY | LVT_STATUS | LVT_POLARITY |
				LVT_REMOTE_IRR | LVT_LEVEL | LVT_MASKED,
	[REG_LVT + LVT_LINT1] = LVT_VECTOR | LVT_DELIVERY | LVT_STATUS | LVT_POLARITY |
				LVT_REMOTE_IRR | LVT_LEVEL | LVT_MASKED,
	[REG_LVT + LVT_ERROR] = LVT_VECTOR | LVT_STATUS | LVT_MASKED,
	[REG_TIMER_INITIAL] = UINT32_MAX,
	[REG_TIMER_DIVIDE] = 0xb,
	[REG_SELF_IPI] = 0xff,
};

static uint32_t writable_bits(const struct vlapic *a, unsigned reg)
{
	if (reg == REG_LVT + LVT_TIMER && !a->bus->tsc_deadline) {
		return writable[reg] & ~(uint32_t)LVT_TSC_DEADLINE;
	}
	return writable[reg];
}

/* --- sending --- */

static void self_ipi(struct vlapic *a, uint8_t vector)
{
	if (vector < VECTOR_LEGAL) {
		vlapic_error(a, ESR_SEND_ILLEGAL);
	} else if (vlapic_software_enabled(a)) {
		vlapic_local(a, vector);
	}
}

static bool is_vector_delivery(enum apic_delivery delivery)
{
	return delivery == APIC_FIXED || delivery == APIC_LOWEST;
}

static NOINLINE void send_message(struct vlapic *a, bool x2apic)
{
	uint32_t low = a->icr_low;
	struct apic_message m = {
		.dest = x2apic ? a->icr_high : a->icr_high >> 24,
		.vector = low & ICR_VECTOR,
		.delivery = (enum apic_delivery)(low >> 8 & 7),
		.logical = low & ICR_LOGICAL,
		.x2apic = x2apic,
	};
	uint64_t self = BIT(a->index), all = ~0ull >> (64 - a->bus->count);

	if (is_vector_delivery(m.delivery) && m.vector < VECTOR_LEGAL) {
		vlapic_error(a, ESR_SEND_ILLEGAL);
		return;
	}
	if (m.delivery == APIC_EXTINT) {
		return; /* reserved in the ICR; only an IOAPIC sends it */
	}
	if (m.delivery == APIC_INIT && (low & ICR_LEVEL) && !(low & ICR_ASSERT)) {
		return; /* INIT level de-assert */
	}
	switch (low >> 18 & 3) {
	case 0: apic_bus_send(a->bus, &m); break;
	case 1:
		if (is_vector_delivery(m.delivery)) {
			self_ipi(a, m.vector);
		} else {
			apic_bus_deliver(a->bus, self, &m);
		}
		break;
	case 2: apic_bus_deliver(a->bus, all, &m); break;
	case 3: apic_bus_deliver(a->bus, all & ~self, &m); break;
	}
}

/* "Interrupt Command Register (ICR)": a write to its low half sends. */
static inline void send(struct vlapic *a, bool x2apic)
{
	if ((a->icr_low & (ICR_SHORTHAND | ICR_DELIVERY)) == ICR_SELF) { /* fixed */
		self_ipi(a, a->icr_low & ICR_VECTOR);
	} else {
		send_message(a, x2apic);
	}
}

/* --- registers --- */

static void write_svr(struct vlapic *a, uint32_t value, uint64_t now)
{
	atomic_store_explicit(&a->svr, value, memory_order_relaxed);
	if (value & APIC_SVR_ENABLE) {
		return;
	}
	/* "Local APIC State After It Has Been Software Disabled": the masks stick till then. */
	vlapic_timer_write_lvt(a, a->lvt[LVT_TIMER] | LVT_MASKED, now);
	for (unsigned i = LVT_TIMER + 1; i < LVT_COUNT; i++) {
		a->lvt[i] |= LVT_MASKED;
	}
}

static void write_lvt(struct vlapic *a, enum vlapic_lvt n, uint32_t value, uint64_t now)
{
	value &= ~(uint32_t)(LVT_STATUS | LVT_REMOTE_IRR);
	if (!(a->svr & APIC_SVR_ENABLE)) {
		value |= LVT_MASKED;
	}
	if (n == LVT_TIMER) {
		vlapic_timer_write_lvt(a, value, now);
	} else {
		a->lvt[n] = value;
	}
}

/* A write shows what was detected since the one before, and rearms the error interrupt. */
static void write_esr(struct vlapic *a)
{
	vlapic_take_posted(a);
	a->esr = a->esr_pending;
	a->esr_pending = 0;
}

static uint32_t read_ldr(const struct vlapic *a)
{
	uint32_t id = a->apic_id;

	return vlapic_x2apic(a) ? id >> 4 << 16 | 1u << (id & 15) : a->ldr;
}

static uint32_t reg_read(struct vlapic *a, unsigned reg, uint64_t now)
{
	switch (reg) {
	case REG_ID: return vlapic_x2apic(a) ? a->apic_id : a->apic_id << 24;
	case REG_VERSION: return VERSION;
	case REG_TPR: return a->tpr;
	case REG_PPR: return vlapic_ppr(a);
	case REG_LDR: return read_ldr(a);
	case REG_DFR: return a->dfr;
	case REG_SVR: return a->svr;
	case REG_ISR ... REG_ISR + 7: return a->isr[reg - REG_ISR];
	case REG_TMR ... REG_TMR + 7: vlapic_take_posted(a); return a->tmr[reg - REG_TMR];
	case REG_IRR ... REG_IRR + 7: vlapic_take_posted(a); return a->irr[reg - REG_IRR];
	case REG_ESR: return a->esr;
	case REG_ICR: return a->icr_low;
	case REG_ICR_HIGH: return a->icr_high;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1: return a->lvt[reg - REG_LVT];
	case REG_TIMER_INITIAL: return a->timer_initial;
	case REG_TIMER_CURRENT: return vlapic_timer_current(a, now);
	case REG_TIMER_DIVIDE: return a->timer_divide;
	default: return 0;
	}
}

/* Writes to a register that both views have; value holds only writable bits. */
static void reg_write(struct vlapic *a, unsigned reg, uint32_t value, uint64_t now)
{
	switch (reg) {
	case REG_TPR:
		a->tpr = (uint8_t)value;
		a->tpr_written = true;
		break;
	case REG_EOI: vlapic_eoi(a); break;
	case REG_SVR: write_svr(a, value, now); break;
	case REG_ESR: write_esr(a); break;
	case REG_LVT ... REG_LVT + LVT_COUNT - 1:
		write_lvt(a, (enum vlapic_lvt)(reg - REG_LVT), value, now);
		break;
	case REG_TIMER_INITIAL: vlapic_timer_write_initial(a, value, now); break;
	case REG_TIMER_DIVIDE: vlapic_timer_write_divide(a, value, now); break;
	}
}

/* --- xAPIC --- */

static void xapic_write(struct vlapic *a, unsigned reg, uint32_t value, uint64_t now)
{
	switch (reg) {
	case REG_ICR:
		a->icr_low = value & writable[REG_ICR] & ~(uint32_t)ICR_STATUS;
		send(a, false);
		break;
	case REG_ICR_HIGH: a->icr_high = value & 0xff000000; break;
	case REG_LDR:
		atomic_store_explicit(&a->ldr, value & 0xff000000, memory_order_relaxed);
		break;
	case REG_DFR:
		atomic_store_explicit(&a->dfr, value | 0x0fffffff, memory_order_relaxed);
		break;
	default: reg_write(a, reg, value & writable_bits(a, reg), now); break;
	}
}

/*
 * "must be accessed using 128-bit aligned 32-bit loads or stores": reads of a part give that part,
 * the 12 bytes behind each register read 0, and other writes are ignored.
 */
void vlapic_access(struct vlapic *a, struct bus_access *access)
{
	unsigned offset = (unsigned)(access->offset & PAGE_MASK), reg = offset >> 4;
	unsigned byte = offset & 15;

	if (a->mmio_page == UINT64_MAX) {
		access->value = UINT64_MAX;
	} else if (reg >= 64 || !(xapic_exists >> reg & 1)) {
		vlapic_error(a, ESR_ILLEGAL_REGISTER);
		access->value = 0;
	} else if (!access->write) {
		access->value = byte < 4 ? reg_read(a, reg, access->now) >> (8 * byte) : 0;
	} else if (byte == 0 && access->size == 4) {
		xapic_write(a, reg, (uint32_t)access->value, access->now);
	}
}

/* --- x2APIC --- */

static bool x2apic_read(struct vlapic *a, unsigned reg, uint64_t now, uint64_t *value)
{
	if (reg >= 64 || !(x2apic_readable >> reg & 1) || !vlapic_x2apic(a)) {
		return false;
	}
	*value = reg_read(a, reg, now);
	if (reg == REG_ICR) {
		*value |= (uint64_t)a->icr_high << 32;
	}
	return true;
}

/* The ICR is one 64-bit register there, and its delivery status bit is gone (ignored here). */
static bool x2apic_write(struct vlapic *a, unsigned reg, uint64_t now, uint64_t value)
{
	if (reg >= 64 || !(x2apic_writable >> reg & 1) || !vlapic_x2apic(a)) {
		return false;
	}
	if (reg == REG_ICR) {
		if ((uint32_t)value & ~writable[REG_ICR]) {
			return false;
		}
		a->icr_high = (uint32_t)(value >> 32);
		a->icr_low = (uint32_t)value & ~(uint32_t)ICR_STATUS;
		send(a, true);
		return true;
	}
	if (value & ~(uint64_t)writable_bits(a, reg)) {
		return false;
	}
	if (reg == REG_SELF_IPI) {
		self_ipi(a, (uint8_t)value);
	} else {
		reg_write(a, reg, (uint32_t)value, now);
	}
	return true;
}

/* --- IA32_APIC_BASE --- */

/* "x2APIC State Transitions", by [old][new] of (EN, EXTD). */
static bool is_transition(uint64_t from, uint64_t to)
{
	enum { DISABLED, INVALID, XAPIC, X2APIC };
	unsigned old = (unsigned)(from >> 10 & 3), new = (unsigned)(to >> 10 & 3);

	switch (new) {
	case DISABLED: return true;
	case XAPIC: return old != X2APIC;
	case X2APIC: return old != DISABLED;
	default: return false;
	}
}

static bool write_base(struct vlapic *a, uint64_t value)
{
	uint64_t old = a->base, page = value & ~PAGE_MASK;
	unsigned width = a->bus->maxphyaddr;
	bool reaches = page == VLAPIC_BASE_DEFAULT || (width && width < 64 && !(page >> width));

	if (!reaches || (value & 0x2ff) || !is_transition(old, value)) {
		return false;
	}
	/* Others must see the APIC go before its state is dropped. */
	atomic_store_explicit(&a->base, (value & ~(uint64_t)APIC_BASE_BSP) | (old & APIC_BASE_BSP),
			      memory_order_relaxed);
	if (!(value & APIC_BASE_EN)) {
		vlapic_clear(a);
	}
	if (value & ~old & APIC_BASE_EXTD) {
		a->icr_high = 0; /* its format changes */
	}
	a->mmio_page = (value & (APIC_BASE_EN | APIC_BASE_EXTD)) == APIC_BASE_EN ? page
										 : UINT64_MAX;
	return true;
}

/* --- MSRs --- */

bool vlapic_rdmsr(struct vlapic *a, uint32_t msr, uint64_t now, uint64_t *value)
{
	switch (msr) {
	case MSR_TSC_DEADLINE:
		*value = vlapic_timer_read_deadline(a, now);
		return a->bus->tsc_deadline;
	case MSR_APIC_BASE: *value = a->base; return true;
	default: return x2apic_read(a, msr - MSR_X2APIC_FIRST, now, value);
	}
}

bool vlapic_wrmsr(struct vlapic *a, uint32_t msr, uint64_t now, uint64_t value)
{
	switch (msr) {
	case MSR_TSC_DEADLINE:
		if (!a->bus->tsc_deadline) {
			return false;
		}
		vlapic_timer_write_deadline(a, value, now);
		return true;
	case MSR_APIC_BASE: return write_base(a, value);
	default: return x2apic_write(a, msr - MSR_X2APIC_FIRST, now, value);
	}
}
