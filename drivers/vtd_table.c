/*
 * VT-d: the formats of what a unit reads from memory. Pure; called by vtd.c.
 */
#include "drivers/vtd.h"

/* 4 levels where the unit has them, as any guest fits; then 3, then 5. */
static unsigned choose_levels(uint64_t cap)
{
	uint64_t widths = field_get(VTD_CAP_WIDTHS, cap);

	return widths & BIT(2) ? 4 : widths & BIT(1) ? 3 : widths & BIT(3) ? 5 : 0;
}

struct npt_format vtd_npt_format(uint64_t cap, uint64_t ext)
{
	return (struct npt_format){
		.name = "VT-d",
		.levels = choose_levels(cap),
		.table = BIT(0) | BIT(1), /* read, write */
		.leaf = BIT(0),
		.large = BIT(7),
		.write = BIT(1),
		/* Whatever a device says: its DMA sees what is in caches. */
		.write_back = ext & VTD_EXT_SNOOP ? BIT(11) : 0,
		.gib_leaves = (cap & VTD_CAP_2M) && (cap & VTD_CAP_1G),
		.small_leaves = !(cap & VTD_CAP_2M),
	};
}

/* Translation type 0: what a device claims to have translated itself is blocked. */
struct vtd_pair vtd_context_entry(const struct iommu_domain *d)
{
	return (struct vtd_pair){
		.low = d->npt.root.v | VTD_PRESENT,
		.high = field_put(VTD_CONTEXT_DOMAIN, d->id) |
			field_put(VTD_CONTEXT_WIDTH, d->npt.format->levels - 2),
	};
}

/*
 * "Interrupt Remapping Table Entry", source validation. A bridge to PCI sends what is behind it
 * with its own bus number or with the device's, so there only buses can be told apart.
 */
uint64_t vtd_remap_source(uint16_t bdf, uint16_t requester)
{
	unsigned first = requester >> 8, last = bdf >> 8;

	if (requester == bdf || !first || first > last) {
		return VTD_REMAP_VERIFY | field_put(VTD_REMAP_SOURCE, requester);
	}
	return VTD_REMAP_BUSES | field_put(VTD_REMAP_SOURCE, first << 8 | last);
}

/* Fixed delivery to one CPU, only for this requester. */
struct vtd_pair vtd_remap_entry(uint64_t source, uint32_t apic_id, uint8_t vector, bool level,
				bool x2apic)
{
	return (struct vtd_pair){
		.low = VTD_PRESENT | (level ? VTD_REMAP_LEVEL : 0) |
		       field_put(VTD_REMAP_VECTOR, vector) |
		       field_put(x2apic ? VTD_REMAP_DEST : VTD_REMAP_XAPIC, apic_id),
		.high = source,
	};
}

uint64_t vtd_message_address(uint32_t index)
{
	enum { FORMAT = BIT(4), SUBHANDLE = BIT(3) };

	return 0xfee00000 | field_put(FIELD(19, 5), index) | field_put(BIT(2), index >> 15) |
	       FORMAT | SUBHANDLE;
}

/* The vector is that of the remapping entry: a LAPIC's EOI finds the pin by it. */
uint64_t vtd_pin_entry(uint32_t index, uint8_t vector, bool level)
{
	return field_put(FIELD(63, 49), index) | BIT(48) /* format */ |
	       field_put(BIT(11), index >> 15) | (level ? BIT(15) : 0) | vector;
}
