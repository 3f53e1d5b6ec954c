/*
 * VT-d: primary fault logging. Called by vtd.c for one caller at a time.
 */
#include "drivers/vtd.h"
#include "hv/host.h"

/* "Fault Reason Encodings"; NULL: of scalable mode, which is off, or of the future. */
static const char *const reasons[] = {
	[0x1] = "the device belongs to no partition (root entry is not present)",
	[0x2] = "the device belongs to no partition (context entry is not present)",
	[0x3] = "the context entry is wrong",
	[0x4] = "the address is beyond the domain's width",
	[0x5] = "a write that the domain does not permit",
	[0x6] = "a read that the domain does not permit",
	[0x7] = "a page table could not be read",
	[0x8] = "the root table could not be read",
	[0x9] = "the context table could not be read",
	[0xa] = "reserved bits in a root entry",
	[0xb] = "reserved bits in a context entry",
	[0xc] = "reserved bits in a page table",
	[0xd] = "the device claims to have translated the address itself",
	[0x20] = "reserved bits in an interrupt request",
	[0x21] = "an interrupt index beyond the table",
	[0x22] = "an interrupt that nobody gave the device (entry is not present)",
	[0x23] = "the interrupt table could not be read",
	[0x24] = "reserved bits in an interrupt entry",
	[0x25] = "an interrupt request in compatibility format",
	[0x26] = "another device's interrupt",
};

static bool decode_fault(const struct vtd_pair *record, struct iommu_fault *f)
{
	uint64_t reason = field_get(VTD_RECORD_REASON, record->high);

	if (!(record->high & VTD_RECORD_FAULT)) {
		return false;
	}
	*f = (struct iommu_fault){
		.bdf = (uint16_t)field_get(VTD_RECORD_SOURCE, record->high),
		.address = record->low & ~PAGE_MASK,
		.write = !(record->high & VTD_RECORD_READ),
		.reason = reason < ARRAY_SIZE(reasons) ? reasons[reason] : NULL,
	};
	if (reason >= 0x20 && reason < ARRAY_SIZE(reasons)) {
		f->address = record->low >> 48; /* the interrupt's index */
	}
	f->interrupt = reason >= 0x20 && reason < 0x30;
	if (!f->reason) {
		f->reason = "a reason that is not known";
	}
	return true;
}

static unsigned record_offset(const struct vtd_unit *u, unsigned i)
{
	return (unsigned)(field_get(VTD_CAP_FAULT_OFFSET, u->cap) + i) * 16;
}

static unsigned record_count(const struct vtd_unit *u)
{
	return (unsigned)field_get(VTD_CAP_FAULTS, u->cap) + 1;
}

static bool take_record(const struct vtd_unit *u, unsigned i, struct iommu_fault *f)
{
	unsigned at = record_offset(u, i);
	struct vtd_pair record = {.high = vtd_read(u, at + 8, 8)};

	if (!(record.high & VTD_RECORD_FAULT)) {
		return false;
	}
	record.low = vtd_read(u, at, 8);
	/* Bit 127 is cleared by writing it; its 32 bits alone, as the manual does. */
	vtd_write(u, at + 12, 4, VTD_RECORD_FAULT >> 32);
	return decode_fault(&record, f);
}

bool vtd_take_fault(const struct vtd_unit *u, struct iommu_fault *f)
{
	uint64_t status = vtd_read(u, VTD_FAULT_STATUS, 4);
	unsigned first = (unsigned)field_get(VTD_FAULT_FIRST, status), count = record_count(u);

	/*
	 * Nobody asked for what these tell of, but any device can send it, and no fault raises an
	 * interrupt while one of them is set.
	 */
	if (status & VTD_FAULT_STRAY) {
		vtd_write(u, VTD_FAULT_STATUS, 4, VTD_FAULT_STRAY);
	}
	if (!(status & (VTD_FAULT_PENDING | VTD_FAULT_OVERFLOW))) {
		return false;
	}
	for (unsigned i = 0; i < count; i++) {
		if (take_record(u, (first + i) % count, f)) {
			return true;
		}
	}
	/* All records are free again; what overflowed is lost. */
	vtd_write(u, VTD_FAULT_STATUS, 4, VTD_FAULT_OVERFLOW);
	return false;
}

void vtd_clear_faults(const struct vtd_unit *u)
{
	for (unsigned i = 0; i < record_count(u); i++) {
		vtd_write(u, record_offset(u, i) + 12, 4, VTD_RECORD_FAULT >> 32);
	}
	vtd_write(u, VTD_FAULT_STATUS, 4, VTD_FAULT_CLEARED);
}

/* The unit's own interrupts are never remapped. */
void vtd_fault_route(const struct vtd_unit *u, uint32_t apic_id, uint8_t vector)
{
	vtd_write(u, VTD_FAULT_CONTROL, 4, VTD_FAULT_MASKED);
	if (!vector) {
		return;
	}
	vtd_write(u, VTD_FAULT_DATA, 4, vector);
	vtd_write(u, VTD_FAULT_ADDRESS, 4, 0xfee00000 | (apic_id & 0xff) << 12);
	vtd_write(u, VTD_FAULT_UPPER, 4, apic_id & ~0xffu);
	vtd_write(u, VTD_FAULT_CONTROL, 4, 0);
}
