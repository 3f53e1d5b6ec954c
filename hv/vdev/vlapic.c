/*
 * The virtual LAPIC's core: posting, priorities, EOI, errors, reset (Intel SDM vol. 3, "Handling
 * Interrupts" and "Error Handling" of the APIC chapter).
 *
 * Callers: event.c on the owner CPU; apic_bus.c on any CPU, only to vlapic_accept. The vCPU owns
 * the state. Vectors from other CPUs wait in `posted` until the owner takes them into IRR;
 * posted_any tells which words to look at, so an idle check reads two words.
 */
#include "hv/vdev/vlapic_regs.h"

enum { POSTED_ERRORS = BIT(16) };

static bool set_has(const uint32_t *set, uint8_t vector)
{
	return set[vector >> 5] >> (vector & 31) & 1;
}

static unsigned highest_bit(uint32_t word)
{
	return 31 ^ (unsigned)__builtin_clz(word); /* with ^, it is the one instruction BSR */
}

/* The highest vector of a set of which `words` tells the words that are not 0; words is not 0. */
static uint8_t set_highest(const uint32_t *set, uint8_t words)
{
	unsigned word = highest_bit(words);

	return (uint8_t)(word << 5 | highest_bit(set[word]));
}

static void set_add(uint32_t *set, uint8_t *words, uint8_t vector)
{
	set[vector >> 5] |= 1u << (vector & 31);
	*words |= (uint8_t)(1u << (vector >> 5));
}

static void set_remove(uint32_t *set, uint8_t *words, uint8_t vector)
{
	unsigned word = vector >> 5;

	set[word] &= ~(1u << (vector & 31));
	if (!set[word]) {
		*words &= (uint8_t) ~(1u << word);
	}
}

/*
 * Any CPU. The word is set before its bit in posted_any (release), and the owner clears posted_any
 * (acquire) before it empties the words: a vector that races is seen now, or by the next look.
 */
void vlapic_accept(struct vlapic *a, uint8_t vector, bool level)
{
	unsigned word = (vector >> 5) + (level ? 8 : 0);

	if (!vlapic_software_enabled(a)) {
		return;
	}
	if (vector >= VECTOR_LEGAL) {
		atomic_fetch_or_explicit(&a->posted[word], 1u << (vector & 31),
					 memory_order_relaxed);
		atomic_fetch_or_explicit(&a->posted_any, 1u << word, memory_order_release);
	} else {
		atomic_fetch_or_explicit(&a->posted_errors, ESR_RECEIVE_ILLEGAL,
					 memory_order_relaxed);
		atomic_fetch_or_explicit(&a->posted_any, POSTED_ERRORS, memory_order_release);
	}
	a->bus->intr(a->bus->ctx, a->index);
}

/*
 * Edge words come first: if a vector was posted both ways, it counts as level, because an IOAPIC
 * pin waits for its EOI.
 */
void vlapic_take_posted(struct vlapic *a)
{
	uint32_t words = atomic_exchange_explicit(&a->posted_any, 0, memory_order_acquire);
	bool enabled = vlapic_hardware_enabled(a);

	for (uint32_t left = words & (POSTED_ERRORS - 1); left; left &= left - 1) {
		unsigned n = (unsigned)__builtin_ctz(left), word = n & 7;
		uint32_t bits = atomic_exchange_explicit(&a->posted[n], 0, memory_order_relaxed);

		if (!enabled || !bits) {
			continue; /* sent before the APIC went away, or taken in already */
		}
		a->irr[word] |= bits;
		a->irr_words |= (uint8_t)(1u << word);
		a->tmr[word] = n < 8 ? a->tmr[word] & ~bits : a->tmr[word] | bits;
	}
	if (words & POSTED_ERRORS) {
		uint32_t errors = atomic_exchange_explicit(&a->posted_errors, 0,
							   memory_order_relaxed);

		if (enabled && errors) {
			vlapic_error(a, errors);
		}
	}
}

void vlapic_local(struct vlapic *a, uint8_t vector)
{
	if (vector < VECTOR_LEGAL) {
		vlapic_error(a, ESR_RECEIVE_ILLEGAL);
		return;
	}
	set_add(a->irr, &a->irr_words, vector);
	a->tmr[vector >> 5] &= ~(1u << (vector & 31));
}

/* One interrupt per write to the ESR, which rearms it; that also ends an illegal error vector. */
void vlapic_error(struct vlapic *a, uint32_t bits)
{
	bool armed = !a->esr_pending;

	a->esr_pending |= bits;
	if (armed && !(a->lvt[LVT_ERROR] & LVT_MASKED)) {
		vlapic_local(a, a->lvt[LVT_ERROR] & LVT_VECTOR);
	}
}

/* The class in service, 0 if none. */
static unsigned service_class(const struct vlapic *a)
{
	return a->isr_words ? set_highest(a->isr, a->isr_words) >> 4 : 0;
}

uint8_t vlapic_ppr(const struct vlapic *a)
{
	unsigned service = service_class(a);

	return (a->tpr >> 4) >= service ? a->tpr : (uint8_t)(service << 4);
}

int vlapic_highest(struct vlapic *a, unsigned *blocked_by_tpr)
{
	uint8_t vector;

	if (atomic_load_explicit(&a->posted_any, memory_order_relaxed)) {
		vlapic_take_posted(a);
	}
	if (!a->irr_words) {
		return -1;
	}
	vector = set_highest(a->irr, a->irr_words);
	if (vector >> 4 <= service_class(a)) {
		return -1;
	}
	if (vector >> 4 <= a->tpr >> 4) {
		*blocked_by_tpr = vector >> 4;
		return -1;
	}
	return vector;
}

void vlapic_ack(struct vlapic *a, uint8_t vector)
{
	set_remove(a->irr, &a->irr_words, vector);
	set_add(a->isr, &a->isr_words, vector);
}

void vlapic_eoi(struct vlapic *a)
{
	uint8_t vector;

	if (!a->isr_words) {
		return;
	}
	vector = set_highest(a->isr, a->isr_words);
	set_remove(a->isr, &a->isr_words, vector);
	if (set_has(a->tmr, vector) && !(a->svr & APIC_SVR_NO_EOI_BROADCAST)) {
		a->bus->eoi(a->bus->ctx, vector);
	}
	if (__builtin_expect(a->timer_owed | a->timer_paying, 0) &&
	    vector == (a->lvt[LVT_TIMER] & LVT_VECTOR)) {
		vlapic_timer_pay(a);
	}
}

void vlapic_set_tpr(struct vlapic *a, uint8_t tpr)
{
	a->tpr = tpr;
}

bool vlapic_accepts_pic(const struct vlapic *a)
{
	return !vlapic_hardware_enabled(a) ||
	       (a->lvt[LVT_LINT0] & (LVT_MASKED | LVT_DELIVERY)) == APIC_EXTINT << 8;
}

static void drop_posted(struct vlapic *a)
{
	atomic_store_explicit(&a->posted_any, 0, memory_order_relaxed);
	for (unsigned i = 0; i < ARRAY_SIZE(a->posted); i++) {
		atomic_store_explicit(&a->posted[i], 0, memory_order_relaxed);
	}
	atomic_store_explicit(&a->posted_errors, 0, memory_order_relaxed);
}

/* "Local APIC State After Power-Up or Reset". */
void vlapic_clear(struct vlapic *a)
{
	atomic_store_explicit(&a->svr, APIC_SVR_VECTOR, memory_order_relaxed);
	atomic_store_explicit(&a->ldr, 0, memory_order_relaxed);
	atomic_store_explicit(&a->dfr, UINT32_MAX, memory_order_relaxed);
	drop_posted(a);
	for (unsigned i = 0; i < 8; i++) {
		a->irr[i] = a->isr[i] = a->tmr[i] = 0;
	}
	a->irr_words = a->isr_words = 0;
	for (unsigned i = 0; i < LVT_COUNT; i++) {
		a->lvt[i] = LVT_MASKED;
	}
	a->tpr = 0;
	a->tpr_written = true;
	a->esr = a->esr_pending = 0;
	a->icr_low = a->icr_high = 0;
	vlapic_timer_reset(a);
}

void vlapic_reset(struct vlapic *a, bool init)
{
	vlapic_clear(a);
	if (init) {
		return;
	}
	a->mmio_page = VLAPIC_BASE_DEFAULT;
	atomic_store_explicit(
		&a->base, VLAPIC_BASE_DEFAULT | APIC_BASE_EN | (a->bootstrap ? APIC_BASE_BSP : 0),
		memory_order_relaxed);
	if (a->bootstrap) {
		atomic_store_explicit(&a->svr, APIC_SVR_ENABLE | APIC_SVR_VECTOR,
				      memory_order_relaxed);
		a->lvt[LVT_LINT0] = LVT_LEVEL | APIC_EXTINT << 8;
		a->lvt[LVT_LINT1] = LVT_LEVEL | APIC_NMI << 8;
	}
}

void vlapic_init(struct vlapic *a, struct apic_bus *bus, unsigned index, uint32_t apic_id,
		 bool bootstrap, const uint64_t *tsc_offset)
{
	a->bus = bus;
	a->index = index;
	a->apic_id = apic_id;
	a->bootstrap = bootstrap;
	a->tsc_offset = tsc_offset;
	bus->lapic[index] = a;
	if (bus->count <= index) {
		bus->count = index + 1;
	}
	vlapic_reset(a, false);
}
