/*
 * Interrupts of passed-through functions: physical vectors on the CPUs of the partition, and what
 * happens when one arrives. passthrough_message.c and passthrough_line.c bind the vectors.
 *
 * A physical vector has the same meaning on all CPUs of a partition. So when the guest moves an
 * interrupt, one store into the device redirects it, and what was already on its way to the old CPU
 * is injected all the same: nothing is lost. The interrupt handler takes no lock for messages; for
 * lines it takes the partition's device lock, which its CPU cannot hold, because interrupts are
 * only taken outside of exits.
 */
#include "hv/log.h"
#include "hv/passthrough_part.h"

/* --- physical vectors --- */

uint8_t passthrough_take_vectors(struct partition *p, unsigned count)
{
	struct passthrough *d = p->devices;

	for (unsigned first = 0; first + count <= DEVICE_VECTORS; first += count) {
		unsigned n = 0;

		while (n < count && !d->vector[first + n].taken) {
			n++;
		}
		if (n == count) {
			while (n > 0) {
				d->vector[first + --n].taken = true;
			}
			return (uint8_t)(HOST_VECTOR_DEVICE_FIRST + first);
		}
	}
	if (!d->no_vector_told) {
		d->no_vector_told = true;
		log_line("%s: its devices want more than %u interrupt vectors; the rest stays "
			 "silent",
			 p->config->name, DEVICE_VECTORS);
	}
	return 0;
}

/* Lines of all partitions; their vectors are counted down from the last. */
static unsigned lines;

uint8_t passthrough_take_line_vector(struct partition *p)
{
	unsigned n = DEVICE_VECTORS - 1 - lines++ % DEVICE_VECTORS;

	p->devices->vector[n].taken = true;
	return (uint8_t)(HOST_VECTOR_DEVICE_FIRST + n);
}

void passthrough_bind(struct passthrough *d, uint8_t vector, uint64_t packed)
{
	atomic_store_explicit(&d->vector[vector - HOST_VECTOR_DEVICE_FIRST].message, packed,
			      memory_order_release);
}

struct apic_message passthrough_unpack(uint64_t packed)
{
	return (struct apic_message){
		.dest = (uint32_t)field_get(PACK_DEST, packed),
		.vector = packed & PACK_VECTOR,
		.delivery = (enum apic_delivery)field_get(PACK_DELIVERY, packed),
		.logical = packed & PACK_LOGICAL,
		.level = packed & PACK_LEVEL,
	};
}

/* --- the end, and what arrives --- */

void passthrough_close_interrupts(struct partition *p)
{
	struct passthrough *d = p->devices;

	for (unsigned i = 0; i < d->lines; i++) {
		host_line_mask(d->line[i].irq, true);
	}
	for (unsigned i = 0; i < DEVICE_VECTORS; i++) {
		atomic_store_explicit(&d->vector[i].message, 0, memory_order_relaxed);
		d->vector[i].taken = false;
	}
	for (unsigned i = 0; i < d->lines; i++) {
		d->vector[d->line[i].vector - HOST_VECTOR_DEVICE_FIRST].taken = true;
		passthrough_bind(d, d->line[i].vector, PACK_USED | PACK_LINE | i);
	}
	for (unsigned n = 0; n < d->functions; n++) {
		d->function[n].msi.armed = false;
		for (unsigned i = 0; i < d->function[n].messages; i++) {
			d->function[n].message[i].vector = 0;
			d->function[n].message[i].armed = false;
		}
	}
	d->asserted = 0;
}

static void orphan(struct passthrough *d, uint8_t vector)
{
	static _Atomic unsigned told;
	enum { REPORTS = 8 };

	if (d) {
		atomic_fetch_add_explicit(&d->orphans, 1, memory_order_relaxed);
	}
	if (atomic_fetch_add_explicit(&told, 1, memory_order_relaxed) < REPORTS) {
		log_line("CPU %u: a device interrupt with vector 0x%x, which is nobody's",
			 host_cpu(), vector);
	}
}

void passthrough_interrupt(struct vcpu *v, uint8_t vector)
{
	struct passthrough *d = v ? v->part->devices : NULL;
	uint64_t packed;
	struct apic_message m;

	if (!d) {
		orphan(NULL, vector);
		return;
	}
	packed = atomic_load_explicit(&d->vector[vector - HOST_VECTOR_DEVICE_FIRST].message,
				      memory_order_acquire);
	if (!packed) {
		orphan(d, vector);
		return;
	}
	atomic_fetch_add_explicit(&d->taken, 1, memory_order_relaxed);
	if (packed & PACK_LINE) {
		passthrough_line_interrupt(v->part, &d->line[packed & PACK_VECTOR]);
		atomic_fetch_add_explicit(&d->injected, 1, memory_order_relaxed);
		return;
	}
	m = passthrough_unpack(packed);
	if (apic_bus_send(&v->part->apics, &m)) {
		atomic_fetch_add_explicit(&d->injected, 1, memory_order_relaxed);
	}
}
