/*
 * Interrupts of passed-through functions: physical vectors on the CPUs of the partition, translated
 * into the messages that the guest wrote (PCI Local Bus Specification 3.0 "Message Signaled
 * Interrupts"; Intel SDM vol. 3, "Message Signalled Interrupts").
 *
 * A physical vector has the same meaning on all CPUs of a partition. So when the guest moves an
 * interrupt, one store into the device redirects it, and what was already on its way to the old CPU
 * is injected all the same: nothing is lost. The interrupt handler takes no lock for messages; for
 * lines it takes the partition's device lock, which its CPU cannot hold, because interrupts are
 * only taken outside of exits.
 */
#include "hv/log.h"
#include "hv/passthrough_part.h"

/* A message, packed so that the handler reads it in one piece. */
enum {
	PACK_VECTOR = FIELD(7, 0),
	PACK_DELIVERY = FIELD(10, 8),
	PACK_LOGICAL = BIT(11),
	PACK_LEVEL = BIT(12),
};
#define PACK_DEST FIELD(23, 16)
#define PACK_LINE BIT(62) /* of an interrupt line, its index in 7:0 */
#define PACK_USED BIT(63)

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

static struct apic_message unpack(uint64_t packed)
{
	return (struct apic_message){
		.dest = (uint32_t)field_get(PACK_DEST, packed),
		.vector = packed & PACK_VECTOR,
		.delivery = (enum apic_delivery)field_get(PACK_DELIVERY, packed),
		.logical = packed & PACK_LOGICAL,
		.level = packed & PACK_LEVEL,
	};
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
	struct apic_message m = unpack(packed);
	uint64_t targets = apic_bus_targets(&p->apics, &m);
	unsigned index = targets ? (unsigned)__builtin_ctzll(targets) : 0;
	uint32_t id = host_apic_id(p->vcpu[index]->cpu);
	uint8_t vector = f->message[i].vector;

	return iommu ? iommu->msi(f->pci->bdf, i, id, vector, &out->address, &out->data)
		     : iommu_plain_msi(id, vector, &out->address, &out->data);
}

/* --- physical vectors --- */

/* `count` vectors in a row, aligned to it (a power of two); 0: there are none. */
static uint8_t take_vectors(struct partition *p, unsigned count)
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

static void bind(struct passthrough *d, uint8_t vector, uint64_t packed)
{
	atomic_store_explicit(&d->vector[vector - HOST_VECTOR_DEVICE_FIRST].message, packed,
			      memory_order_release);
}

static void tell_bad(struct partition *p, const struct vpci_function *f, uint64_t address)
{
	if (!p->devices->bad_message_told) {
		p->devices->bad_message_told = true;
		log_line("%s: PCI %02x:%02x.%x: MSI address 0x%lx is no interrupt; not delivered",
			 p->config->name, f->pci->bdf >> 8, f->pci->bdf >> 3 & 31, f->pci->bdf & 7,
			 (unsigned long)address);
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
		m->vector = take_vectors(p, 1);
	}
	if (!active || !m->vector || !translate(p, f, i, packed, &to)) {
		if (m->armed) {
			mask_entry(f, i, true);
		}
		m->armed = false;
		return;
	}
	bind(p->devices, m->vector, packed);
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
	f->message[0].armed = false;
}

/* Vectors in a row for what is enabled now; more than last time needs a new row. */
static bool take_row(struct partition *p, struct vpci_function *f, unsigned count)
{
	uint8_t first;

	if (f->message[0].vector && (count == 1 || f->message[count - 1].vector)) {
		return true;
	}
	first = take_vectors(p, count);
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

	if (!f->message[0].armed) {
		pci_write(pci->bdf, control, 2, v & ~(uint32_t)MSI_ENABLE);
		if (pci->msi_64) {
			pci_write(pci->bdf, pci->cap_msi + MSI_ADDRESS + 4u, 4,
				  (uint32_t)(to->address >> 32));
		}
		pci_write(pci->bdf, pci_msi_data(pci), 2, to->data);
	}
	/* Alone, this is one store that redirects a running interrupt. */
	if (!f->message[0].armed || f->message[0].armed_address != to->address) {
		pci_write(pci->bdf, pci->cap_msi + MSI_ADDRESS, 4, (uint32_t)to->address);
	}
	if (pci->msi_maskable) {
		pci_write(pci->bdf, pci_msi_mask(pci), 4,
			  vpci_function_get(f, pci_msi_mask(pci), 4));
	}
	if (!f->message[0].armed) {
		pci_write(pci->bdf, control, 2,
			  v | MSI_ENABLE | (uint32_t)__builtin_ctz(count) << 4);
	}
	f->message[0].armed = true;
	f->message[0].armed_address = to->address;
	f->message[0].armed_data = to->data;
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
	if (f->message[0].armed && f->armed_count != count) {
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
		bind(p->devices, f->message[i].vector, packed);
		any = packed;
	}
	f->armed_count = count;
	if (!any) { /* all are masked */
		to = (struct physical){f->message[0].armed_address, f->message[0].armed_data};
	} else if (!translate_row(p, f, count, any, &to)) {
		disable_msi(f);
		return;
	}
	if (any || f->message[0].armed) {
		arm_msi(f, count, &to);
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

/* --- interrupt lines --- */

/* May the device interrupt by its line, as far as its own registers say? */
static bool may_intx(const struct vpci_function *f)
{
	return f->intx && !(vpci_command(f) & PCI_COMMAND_INTX_OFF) && !vpci_msi_on(f) &&
	       !vpci_msix_on(f);
}

/*
 * And does anybody listen? What nobody listens to is not asked for: its interrupt would wait for an
 * EOI that never comes, and with it all that share the line.
 */
static bool wants_intx(const struct partition *p, const struct vpci_function *f)
{
	return may_intx(f) && (!vioapic_masked(&p->pc.ioapic, passthrough_gsi(f)) ||
			       (f->isa_irq && !vpic_masked(&p->pc.pic, f->isa_irq)));
}

/* The guest's input pins: functions can share one. */
static void update_pins(struct partition *p, const struct vpci_function *f)
{
	struct passthrough *d = p->devices;
	bool pin = false, isa = false;

	for (unsigned i = 0; i < d->functions; i++) {
		if (d->asserted >> i & 1) {
			pin |= passthrough_gsi(&d->function[i]) == passthrough_gsi(f);
			isa |= d->function[i].isa_irq == f->isa_irq;
		}
	}
	vioapic_set(&p->pc.ioapic, passthrough_gsi(f), pin);
	if (f->isa_irq) {
		vpic_set(&p->pc.pic, f->isa_irq, isa);
	}
}

static void set_pin(struct partition *p, unsigned index, bool up)
{
	struct passthrough *d = p->devices;

	if ((d->asserted >> index & 1) != up) {
		d->asserted ^= 1u << index;
		update_pins(p, &d->function[index]);
	}
}

/* Open when somebody wants it and nobody of the guest has still to answer for it. */
static void update_line(struct partition *p, struct device_line *l)
{
	struct passthrough *d = p->devices;
	bool wanted = false;

	for (uint32_t left = l->members; left; left &= left - 1) {
		wanted |= wants_intx(p, &d->function[__builtin_ctz(left)]);
	}
	l->waits = d->asserted & l->members;
	host_line_mask(l->irq, !wanted || l->waits);
}

static void update_lines_of(struct partition *p, uint32_t functions)
{
	for (unsigned i = 0; i < p->devices->lines; i++) {
		if (p->devices->line[i].members & functions) {
			update_line(p, &p->devices->line[i]);
		}
	}
}

static bool shares_line(const struct passthrough *d, unsigned index)
{
	for (unsigned i = 0; i < d->lines; i++) {
		if (d->line[i].members >> index & 1) {
			return d->line[i].members != 1u << index;
		}
	}
	return false;
}

/*
 * One whose pin the guest has masked is silenced in the device if it shares its line, which stays
 * open for the others; alone, its line is masked instead.
 */
static void write_command(struct partition *p, struct vpci_function *f, unsigned index)
{
	uint32_t guest = vpci_command(f), command = PCI_COMMAND_IO | PCI_COMMAND_MEMORY;
	bool on = shares_line(p->devices, index) ? wants_intx(p, f) : may_intx(f);

	/* Decoding stays on: the device answers to us where firmware has put it. */
	command |= guest & (PCI_COMMAND_MASTER | PCI_COMMAND_PARITY | PCI_COMMAND_SERR);
	pci_write(f->pci->bdf, PCI_COMMAND, 2, command | (on ? 0 : PCI_COMMAND_INTX_OFF));
}

static void settle_pin(struct partition *p, struct vpci_function *f, unsigned index)
{
	if (!wants_intx(p, f)) {
		set_pin(p, index, false);
	}
	update_lines_of(p, 1u << index);
}

void passthrough_intx(void *partition, struct vpci_function *f)
{
	struct partition *p = partition;
	unsigned index = (unsigned)(f - p->devices->function);

	write_command(p, f, index);
	if (f->intx) {
		settle_pin(p, f, index);
	}
}

static void mask_changed(struct partition *p, unsigned index)
{
	struct vpci_function *f = &p->devices->function[index];

	if (f->intx && shares_line(p->devices, index)) {
		write_command(p, f, index);
	}
	if (f->intx) {
		settle_pin(p, f, index);
	}
}

void passthrough_pin_masked(void *partition, unsigned pin)
{
	struct partition *p = partition;

	for (unsigned i = 0; i < p->devices->functions; i++) {
		if (passthrough_gsi(&p->devices->function[i]) == pin) {
			mask_changed(p, i);
		}
	}
}

void passthrough_pic_masked(void *partition, unsigned irq)
{
	struct partition *p = partition;

	for (unsigned i = 0; i < p->devices->functions; i++) {
		if (p->devices->function[i].isa_irq == irq) {
			mask_changed(p, i);
		}
	}
}

static void line_interrupt(struct partition *p, struct device_line *l)
{
	host_line_mask(l->irq, true);
	lock_take(&p->pc.lock);
	l->waits = true;
	for (uint32_t left = l->members; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		if (wants_intx(p, &p->devices->function[i])) {
			set_pin(p, i, true);
		}
	}
	lock_drop(&p->pc.lock);
}

static void answer(struct partition *p, uint32_t functions)
{
	for (uint32_t left = functions; left; left &= left - 1) {
		set_pin(p, (unsigned)__builtin_ctz(left), false);
	}
	if (functions) {
		update_lines_of(p, functions);
	}
}

void passthrough_pin_eoi(void *partition, unsigned pin)
{
	struct partition *p = partition;
	uint32_t answered = 0;

	for (uint32_t left = p->devices->asserted; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		answered |= passthrough_gsi(&p->devices->function[i]) == pin ? 1u << i : 0;
	}
	answer(p, answered);
}

void passthrough_pic_eoi(void *partition, unsigned irq)
{
	struct partition *p = partition;
	uint32_t answered = 0;

	for (uint32_t left = p->devices->asserted; left; left &= left - 1) {
		unsigned i = (unsigned)__builtin_ctz(left);

		answered |= p->devices->function[i].isa_irq == irq ? 1u << i : 0;
	}
	answer(p, answered);
}

static struct device_line *line_of(struct partition *p, uint8_t irq)
{
	struct passthrough *d = p->devices;
	struct device_line *l;

	for (unsigned i = 0; i < d->lines; i++) {
		if (d->line[i].irq == irq) {
			return &d->line[i];
		}
	}
	l = &d->line[d->lines++];
	l->irq = irq;
	l->vector = take_vectors(p, 1);
	return l;
}

bool passthrough_open_lines(struct partition *p, struct refusal *r)
{
	struct passthrough *d = p->devices;

	for (unsigned i = 0; i < d->functions; i++) {
		if (d->function[i].intx) {
			line_of(p, d->function[i].pci->line)->members |= 1u << i;
		}
	}
	for (unsigned i = 0; i < d->lines; i++) {
		struct device_line *l = &d->line[i];

		if (!host_line_open(l->irq, p->config->cpu[0], l->vector)) {
			return refuse(r, "guest %s: no I/O APIC has interrupt line %u",
				      p->config->name, l->irq);
		}
	}
	return true;
}

/* --- all of them --- */

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
		bind(d, d->line[i].vector, PACK_USED | PACK_LINE | i);
	}
	for (unsigned n = 0; n < d->functions; n++) {
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
		line_interrupt(v->part, &d->line[packed & PACK_VECTOR]);
		atomic_fetch_add_explicit(&d->injected, 1, memory_order_relaxed);
		return;
	}
	m = unpack(packed);
	if (apic_bus_send(&v->part->apics, &m)) {
		atomic_fetch_add_explicit(&d->injected, 1, memory_order_relaxed);
	}
}
