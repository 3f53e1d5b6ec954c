/*
 * MSI and MSI-X of passed-through functions: what the guest wrote, translated into what the device
 * is told (PCI Local Bus Specification 3.0 "Message Signaled Interrupts"; Intel SDM vol. 3,
 * "Message Signalled Interrupts"). Nothing that the guest wrote reaches the device as it is.
 *
 * Called by vpci*.c through passthrough.c's events, under the partition's device lock.
 */
#include "hv/log.h"
#include "hv/passthrough_part.h"

/* MSI address and data. */
enum {
	ADDRESS_LOGICAL = BIT(2),
	ADDRESS_HINT = BIT(3),
	ADDRESS_DEST = FIELD(19, 12),
	DATA_VECTOR = FIELD(7, 0),
	DATA_DELIVERY = FIELD(10, 8),
	DATA_LEVEL = BIT(15),
};
#define ADDRESS_BASE 0xfee00000u

/* --- messages of the guest --- */

/* False: this is no interrupt message; a device that sends it would write to memory. */
static bool parse(uint64_t address, uint32_t data, uint64_t *packed)
{
	unsigned delivery = (unsigned)field_get(DATA_DELIVERY, data);

	if (address >> 20 != ADDRESS_BASE >> 20) {
		return false;
	}
	if ((address & ADDRESS_HINT) && (address & ADDRESS_LOGICAL) && delivery == APIC_FIXED) {
		delivery = APIC_LOWEST; /* one of those addressed */
	}
	*packed = PACK_USED | field_put(PACK_VECTOR, data & DATA_VECTOR) |
		  field_put(PACK_DELIVERY, delivery) |
		  field_put(PACK_DEST, field_get(ADDRESS_DEST, address)) |
		  (address & ADDRESS_LOGICAL ? (uint64_t)PACK_LOGICAL : 0) |
		  (data & DATA_LEVEL ? (uint64_t)PACK_LEVEL : 0);
	return true;
}

/* What a device writes to interrupt a CPU. */
struct physical {
	uint64_t address;
	uint32_t data;
};

/* To the physical CPU that runs a vCPU which the message is for. False: cannot be expressed. */
static bool translate(struct partition *p, const struct vpci_function *f, unsigned i,
		      uint64_t packed, struct physical *out)
{
	struct apic_message m = passthrough_unpack(packed);
	uint64_t targets = apic_bus_targets(&p->apics, &m);
	unsigned index = targets ? (unsigned)__builtin_ctzll(targets) : 0;
	uint32_t id = host_apic_id(p->vcpu[index]->cpu);
	uint8_t vector = f->message[i].vector;

	return iommu ? iommu->msi(f->pci->bdf, i, id, vector, &out->address, &out->data)
		     : iommu_plain_msi(id, vector, &out->address, &out->data);
}

static void tell_bad(struct partition *p, const struct vpci_function *f, uint64_t address)
{
	if (!p->devices->bad_message_told) {
		p->devices->bad_message_told = true;
		log_line("%s: PCI %02x:%02x.%x: MSI address 0x%lx is no interrupt; not delivered",
			 p->config->name, BDF_PARTS(f->pci->bdf), address);
	}
}

/* --- MSI-X --- */

static void *table_entry(const struct vpci_function *f, unsigned i)
{
	return (uint8_t *)f->bar[f->pci->msix_table_bar].host + f->pci->msix_table_offset +
	       (size_t)i * MSIX_ENTRY;
}

static void mask_entry(const struct vpci_function *f, unsigned i, bool masked)
{
	host_mmio_write((uint8_t *)table_entry(f, i) + MSIX_ENTRY_CONTROL, 4,
			masked ? MSIX_ENTRY_MASKED : 0);
}

/* A masked entry keeps what comes meanwhile pending. */
static void arm_entry(struct vpci_function *f, unsigned i, const struct physical *to)
{
	struct vpci_message *m = &f->message[i];
	uint8_t *entry = table_entry(f, i);

	if (m->armed && m->armed_address == to->address && m->armed_data == to->data) {
		return;
	}
	if (m->armed) {
		mask_entry(f, i, true);
	}
	host_mmio_write(entry, 4, (uint32_t)to->address);
	host_mmio_write(entry + 4, 4, to->address >> 32);
	host_mmio_write(entry + 8, 4, to->data);
	mask_entry(f, i, false);
	m->armed = true;
	m->armed_address = to->address;
	m->armed_data = to->data;
}

static void update_entry(struct partition *p, struct vpci_function *f, unsigned i)
{
	struct vpci_message *m = &f->message[i];
	uint64_t address, packed = 0;
	struct physical to;
	uint32_t data;
	bool active = vpci_msix_on(f) && vpci_message_active(f, i, &address, &data);

	if (active && !parse(address, data, &packed)) {
		tell_bad(p, f, address);
		active = false;
	}
	if (active && !m->vector) {
		m->vector = passthrough_take_vectors(p, 1);
	}
	if (!active || !m->vector || !translate(p, f, i, packed, &to)) {
		if (m->armed) {
			mask_entry(f, i, true);
		}
		m->armed = false;
		return;
	}
	passthrough_bind(p->devices, m->vector, packed);
	arm_entry(f, i, &to);
}

static void update_msix(struct partition *p, struct vpci_function *f, unsigned first,
			unsigned count)
{
	unsigned control = f->pci->cap_msix + MSIX_CONTROL;

	for (unsigned i = first; i < first + count && i < f->pci->msix_entries; i++) {
		update_entry(p, f, i);
	}
	if (count == f->messages) { /* not just an entry: the control register */
		pci_write(f->pci->bdf, control, 2, vpci_msix_on(f) ? MSIX_ENABLE : 0);
	}
}

/* --- MSI --- */

static void disable_msi(struct vpci_function *f)
{
	unsigned control = f->pci->cap_msi + MSI_CONTROL;

	pci_write(f->pci->bdf, control, 2,
		  pci_read(f->pci->bdf, control, 2) & ~(uint32_t)(MSI_ENABLE | MSI_COUNT));
	f->msi.armed = false;
}

/* MSI-X takes them one by one. */
static bool has_row(const struct vpci_function *f, unsigned count)
{
	unsigned first = f->message[0].vector;

	for (unsigned i = 0; i < count; i++) {
		if (!first || f->message[i].vector != first + i) {
			return false;
		}
	}
	return !(first & (count - 1));
}

/* Vectors in a row for what is enabled now; more than last time needs a new row. */
static bool take_row(struct partition *p, struct vpci_function *f, unsigned count)
{
	uint8_t first;

	if (has_row(f, count)) {
		return true;
	}
	first = passthrough_take_vectors(p, count);
	for (unsigned i = 0; first && i < count; i++) {
		f->message[i].vector = (uint8_t)(first + i);
	}
	return first;
}

static void arm_msi(struct vpci_function *f, unsigned count, const struct physical *to)
{
	const struct pci_function *pci = f->pci;
	unsigned control = pci->cap_msi + MSI_CONTROL;
	uint32_t v = pci_read(pci->bdf, control, 2) & ~(uint32_t)MSI_COUNT;

	if (!f->msi.armed) {
		pci_write(pci->bdf, control, 2, v & ~(uint32_t)MSI_ENABLE);
		if (pci->msi_64) {
			pci_write(pci->bdf, pci->cap_msi + MSI_ADDRESS + 4u, 4,
				  (uint32_t)(to->address >> 32));
		}
		pci_write(pci->bdf, pci_msi_data(pci), 2, to->data);
	}
	/* Alone, this is one store that redirects a running interrupt. */
	if (!f->msi.armed || f->msi.address != to->address) {
		pci_write(pci->bdf, pci->cap_msi + MSI_ADDRESS, 4, (uint32_t)to->address);
	}
	if (pci->msi_maskable) {
		pci_write(pci->bdf, pci_msi_mask(pci), 4,
			  vpci_function_get(f, pci_msi_mask(pci), 4));
	}
	if (!f->msi.armed) {
		pci_write(pci->bdf, control, 2,
			  v | MSI_ENABLE | (uint32_t)__builtin_ctz(count) << 4);
	}
	f->msi.armed = true;
	f->msi.address = to->address;
	f->msi.data = to->data;
}

/* All of a row go to one CPU: MSI has one address. False: it stays off. */
static bool translate_row(struct partition *p, const struct vpci_function *f, unsigned count,
			  uint64_t packed, struct physical *first)
{
	struct physical next;

	if (!translate(p, f, 0, packed, first) || (first->address >> 32 && !f->pci->msi_64) ||
	    first->data & (count - 1)) {
		return false;
	}
	for (unsigned i = 1; i < count; i++) {
		if (!translate(p, f, i, packed, &next) || next.address != first->address ||
		    next.data != first->data + i) {
			return false;
		}
	}
	return true;
}

static void update_msi(struct partition *p, struct vpci_function *f)
{
	unsigned count = vpci_msi_count(f);
	uint64_t address, packed, any = 0;
	struct physical to;
	uint32_t data;

	if (!vpci_msi_on(f) || vpci_msix_on(f)) {
		disable_msi(f);
		return;
	}
	if (f->msi.armed && f->msi.count != count) {
		disable_msi(f);
	}
	if (!take_row(p, f, count)) {
		disable_msi(f);
		return;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!vpci_message_active(f, i, &address, &data)) {
			continue; /* masked in the device too */
		}
		if (!parse(address, data, &packed)) {
			tell_bad(p, f, address);
			disable_msi(f);
			return;
		}
		passthrough_bind(p->devices, f->message[i].vector, packed);
		any = packed;
	}
	f->msi.count = count;
	if (!any) { /* all are masked */
		to = (struct physical){f->msi.address, f->msi.data};
	} else if (!translate_row(p, f, count, any, &to)) {
		disable_msi(f);
		return;
	}
	if (any || f->msi.armed) {
		arm_msi(f, count, &to);
	}
}

/* --- the start --- */

/* Whoever is gone, or decodes no memory, is not written to. */
static bool decodes_memory(const struct pci_function *pci)
{
	uint32_t command = pci_read(pci->bdf, PCI_COMMAND, 2);

	return command != 0xffff && (command & PCI_COMMAND_MEMORY);
}

void passthrough_disarm(const struct vpci_function *f)
{
	const struct pci_function *pci = f->pci;

	if (pci->cap_msi) {
		pci_write(pci->bdf, pci->cap_msi + MSI_CONTROL, 2, 0);
	}
	if (!pci->cap_msix) {
		return;
	}
	pci_write(pci->bdf, pci->cap_msix + MSIX_CONTROL, 2, 0);
	if (decodes_memory(pci)) {
		for (unsigned i = 0; i < pci->msix_entries; i++) {
			mask_entry(f, i, true);
		}
	}
}

void passthrough_message(void *partition, struct vpci_function *f, unsigned first, unsigned count)
{
	struct partition *p = partition;

	if (f->pci->cap_msix) {
		update_msix(p, f, first, count);
	}
	if (f->pci->cap_msi && count == f->messages) {
		update_msi(p, f);
	}
}
