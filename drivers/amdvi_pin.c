/*
 * AMD-Vi: interrupts of I/O APIC pins. Called by amdvi.c; the tables belong here.
 *
 * What a pin sends is looked up by the delivery mode and the vector in its redirection entry. The
 * vector must be the one that the CPU gets, because the EOI finds the pin by it; so two pins with
 * one vector on two CPUs differ in the delivery mode, of which fixed and lowest priority are free.
 */
#include "drivers/amdvi.h"
#include "hv/host.h"

enum { LENGTH_LOG2 = 11, ENTRIES = 1 << LENGTH_LOG2, MODES = 2, VECTORS = 256 };

static struct pins {
	uint8_t id;
	uint16_t bdf;
	hpa_t at;
	uint32_t *table;
	uint8_t owner[MODES * VECTORS]; /* pin + 1, 0: free */
} pins[ACPI_IOAPICS];
static unsigned count;

static struct pins *find(uint8_t id)
{
	for (unsigned i = 0; i < count; i++) {
		if (pins[i].id == id) {
			return &pins[i];
		}
	}
	return NULL;
}

bool amdvi_pins_known(const struct ivrs_info *v, const struct acpi_info *a)
{
	for (unsigned i = 0; i < a->ioapics; i++) {
		bool known = false;

		for (unsigned n = 0; n < v->devices; n++) {
			known |= v->device[n].kind == IVRS_IOAPIC &&
				 v->device[n].id == (uint8_t)a->ioapic[i].id;
		}
		if (!known) {
			return false;
		}
	}
	return true;
}

bool amdvi_pins_init(const struct ivrs_info *v, const struct acpi_info *a, struct refusal *r)
{
	count = 0;
	for (unsigned n = 0; n < v->devices; n++) {
		const struct ivrs_device *d = &v->device[n];
		struct pins *p = &pins[count];

		if (d->kind != IVRS_IOAPIC || find(d->id) || count == ACPI_IOAPICS) {
			continue;
		}
		*p = (struct pins){.id = d->id, .bdf = d->first};
		if (!host_alloc(ENTRIES * sizeof(uint32_t), ENTRIES * sizeof(uint32_t), &p->at)) {
			return refuse(r, "no memory for AMD-Vi interrupt tables");
		}
		p->table = host_ptr(p->at);
		count++;
	}
	return a->ioapics <= count || refuse(r, "too many I/O APICs");
}

bool amdvi_pins_table(unsigned n, uint16_t *bdf, hpa_t *table, unsigned *length)
{
	if (n >= count) {
		return false;
	}
	*bdf = pins[n].bdf;
	*table = pins[n].at;
	*length = LENGTH_LOG2;
	return true;
}

static void release(struct pins *p, unsigned pin)
{
	for (unsigned i = 0; i < MODES * VECTORS; i++) {
		if (p->owner[i] == pin + 1) {
			p->owner[i] = 0;
			__atomic_store_n(&p->table[i], 0, __ATOMIC_RELEASE);
		}
	}
}

bool amdvi_pin_set(uint8_t id, unsigned pin, uint32_t apic_id, uint8_t vector, bool level,
		   uint64_t *entry, uint16_t *bdf)
{
	struct pins *p = find(id);

	if (!p || pin >= 0xff || apic_id > 0xff) {
		return false;
	}
	release(p, pin);
	for (unsigned mode = 0; mode < MODES; mode++) {
		unsigned i = mode * VECTORS + vector;

		if (!p->owner[i]) {
			p->owner[i] = (uint8_t)(pin + 1);
			__atomic_store_n(&p->table[i], amdvi_remap_entry(apic_id, vector),
					 __ATOMIC_RELEASE);
			*bdf = p->bdf;
			*entry = 0;
			iommu_plain_ioapic(apic_id, vector, level, entry);
			*entry |= (uint64_t)mode << 8;
			return true;
		}
	}
	return false;
}
