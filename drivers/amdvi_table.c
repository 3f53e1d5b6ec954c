/*
 * AMD-Vi: the formats of what a unit reads from memory. Pure; called by amdvi.c and amdvi_pin.c.
 */
#include "drivers/amdvi.h"

/* Present, and the next level in the entry; each entry on the way must permit. */
const struct npt_format amdvi_npt_format = {
	.name = "AMD-Vi",
	.levels = 4,
	.table = BIT(0) | AMDVI_READ | AMDVI_WRITE,
	.leaf = BIT(0) | AMDVI_READ | AMDVI_FORCE_COHERENT,
	.write = AMDVI_WRITE,
	.next_level = AMDVI_NEXT_LEVEL,
	.gib_leaves = true,
};

/* An entry that is not valid lets a device through; one that permits nothing does not. */
uint64_t amdvi_translation(const struct iommu_domain *d)
{
	if (!d) {
		return AMDVI_VALID;
	}
	return AMDVI_VALID | d->npt.root.v | field_put(AMDVI_MODE, d->npt.format->levels) |
	       AMDVI_READ | AMDVI_WRITE;
}

uint64_t amdvi_interrupts(enum amdvi_int_control control, hpa_t table, unsigned length)
{
	return AMDVI_INT_VALID | table.v | field_put(AMDVI_INT_LENGTH, length) |
	       field_put(AMDVI_INT_CONTROL, control);
}

/* Fixed delivery, physical destination. */
uint32_t amdvi_remap_entry(uint32_t apic_id, uint8_t vector)
{
	return (uint32_t)(BIT(0) | field_put(FIELD(15, 8), apic_id) |
			  field_put(FIELD(23, 16), vector));
}
