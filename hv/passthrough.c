/*
 * Which physical functions a partition gets, and what it is built of: see passthrough.h.
 *
 * Boot CPU until the guests run; after that each partition's functions belong to its CPUs, under
 * its device lock.
 */
#include "hv/lib/string.h"
#include "hv/log.h"
#include "hv/passthrough_part.h"
#include "hv/pci_place.h"
#include "hv/pci_text.h"

enum { DEVICES = 32 };

/* --- owners --- */

struct vpci_function *passthrough_owned(const struct partition *p, uint16_t bdf)
{
	for (unsigned i = 0; p->devices && i < p->devices->functions; i++) {
		if (p->devices->function[i].pci->bdf == bdf) {
			return &p->devices->function[i];
		}
	}
	return NULL;
}

uint32_t passthrough_decoding(const struct pci_function *f)
{
	uint32_t command = 0;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (f->bar[i].size) {
			command |= f->bar[i].io ? PCI_COMMAND_IO : PCI_COMMAND_MEMORY;
		}
	}
	return command;
}

static bool configured(const struct config_guest *g, uint16_t bdf)
{
	for (unsigned i = 0; i < g->pcis; i++) {
		if (passthrough_bdf(&g->pci[i]) == bdf) {
			return true;
		}
	}
	return false;
}

/* A write that went nowhere: told once per function. */
static void rejected(void *partition, struct vpci_function *f, uint16_t bdf, unsigned reg)
{
	struct partition *p = partition;
	struct passthrough *d = p->devices;
	const char *owner = NULL;

	if (f) {
		if (!f->reported) {
			f->reported = true;
			log_line(
				"%s: PCI %02x:%02x.%x register 0x%x: write rejected; guests do not "
				"see this register, and no line of the configuration allows it",
				p->config->name, BDF_PARTS(bdf), reg & ~3u);
		}
		return;
	}
	if (bdf >= VPCI_CONFIG || d->rejected[bdf / 8] >> bdf % 8 & 1 || !pci_find(bdf)) {
		return;
	}
	d->rejected[bdf / 8] |= (uint8_t)(1 << bdf % 8);
	for (unsigned i = 0; i < partition_count; i++) {
		owner = passthrough_owned(partitions[i], bdf) ? partitions[i]->config->name : owner;
	}
	log_line("%s: PCI %02x:%02x.%x register 0x%x: write rejected; the function belongs to "
		 "%s%s, `pci = %02x:%02x.%x` in [guest %s] would give it",
		 p->config->name, BDF_PARTS(bdf), reg, owner ? "guest " : "nobody",
		 owner ? owner : "", BDF_PARTS(bdf), p->config->name);
}

/* --- building --- */

/* Every guest that boots function 0 of a device has its siblings beside it. */
static bool keeps_place(const struct config_guest *g, uint16_t bdf)
{
	return bdf >> 8 == 0 && bdf >> 3 != 0 && configured(g, (uint16_t)(bdf & ~7u));
}

/* Where it stands in the machine; else on bus 0, as the only function of a free device. */
static bool place_function(struct partition *p, struct vpci_function *f, uint32_t *taken,
			   struct refusal *r)
{
	uint16_t bdf = f->pci->bdf;

	if (keeps_place(p->config, bdf)) {
		f->devfn = (uint8_t)bdf;
		for (unsigned n = 0; n < 8; n++) {
			f->multifunction |= n != (bdf & 7u) &&
					    configured(p->config, (uint16_t)((bdf & ~7u) | n));
		}
		return true;
	}
	for (unsigned device = 1; device < DEVICES; device++) {
		if (!(*taken >> device & 1)) {
			*taken |= 1u << device;
			f->devfn = (uint8_t)(device << 3);
			log_line("%s: PCI %02x:%02x.%x is 00:%02x.0 for the guest", p->config->name,
				 BDF_PARTS(bdf), device);
			return true;
		}
	}
	return refuse(r, "guest %s: no device number is left on its bus", p->config->name);
}

/* A line that another guest's function is on too is nobody's: they have MSI (passthrough_check). */
static bool line_is_ours(const struct partition *p, const struct config_pci *at,
			 const struct pci_function *f)
{
	const struct config *c = p->file;
	uint8_t input = passthrough_input(at);

	for (unsigned i = 0; i < c->guests; i++) {
		for (unsigned n = 0; &c->guest[i] != p->config && n < c->guest[i].pcis; n++) {
			if (input == passthrough_input(&c->guest[i].pci[n]) &&
			    !passthrough_needs_line(f)) {
				log_line("%s: PCI %02x:%02x.%x has MSI only: its interrupt line %u "
					 "also serves guest %s",
					 p->config->name, BDF_PARTS(f->bdf), input,
					 c->guest[i].name);
				return false;
			}
		}
	}
	return true;
}

static bool create_messages(struct vpci_function *f, struct refusal *r)
{
	hpa_t at;

	f->messages = f->pci->cap_msix ? f->pci->msix_entries : 0;
	if (f->pci->cap_msi && f->pci->msi_vectors > f->messages) {
		f->messages = f->pci->msi_vectors;
	}
	if (f->messages &&
	    !host_alloc(ALIGN_UP(f->messages * sizeof(*f->message), (uint64_t)PAGE_SIZE), PAGE_SIZE,
			&at)) {
		return refuse(r, "no memory for %u interrupt messages", f->messages);
	}
	f->message = f->messages ? host_ptr(at) : NULL;
	return true;
}

/* The input of the guest's 8259s: its own SCI has IRQ 9 for itself. */
static uint8_t isa_irq(const struct pci_function *f)
{
	enum { SCI = 9, INSTEAD = 11 };
	uint8_t line = passthrough_isa_irq(f);

	return line == 0 || line == SCI ? INSTEAD : line;
}

/*
 * The ports of a function are decoded together, and an I/O BAR without an address would answer at
 * port 0: then all are left alone. Drivers have the memory BARs.
 */
static void drop_ports(const struct partition *p, struct pci_function *f)
{
	bool all = true;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		all = all && !(f->bar[i].io && f->bar[i].size && !f->bar[i].base);
	}
	if (all) {
		return;
	}
	log_line(
		"%s: PCI %02x:%02x.%x has an I/O BAR without an address: its I/O BARs are not used",
		p->config->name, f->bdf >> 8, f->bdf >> 3 & 31, f->bdf & 7);
	for (unsigned i = 0; i < PCI_BARS; i++) {
		if (f->bar[i].io) {
			f->bar[i] = (struct pci_bar){0};
		}
	}
}

static bool create_function(struct partition *p, unsigned i, uint32_t *taken, struct refusal *r)
{
	const struct config_pci *at = &p->config->pci[i];
	struct vpci_function *f = &p->devices->function[i];
	bool was_reset;

	f->pci = pci_find(passthrough_bdf(at));
	drop_ports(p, &pci_functions[f->pci - pci_functions]);
	f->intx = passthrough_input(at) && line_is_ours(p, at, f->pci);
	f->isa_irq = f->intx ? isa_irq(f->pci) : 0;
	if (!f->intx && passthrough_needs_line(f->pci)) {
		log_line("%s: WARNING: PCI %02x:%02x.%x has no MSI, and Interrupt Line %u is no "
			 "ISA IRQ of PCI's: it cannot interrupt; `gsi N` behind it in `pci` helps",
			 p->config->name, BDF_PARTS(f->pci->bdf), f->pci->line);
	}
	if (!place_function(p, f, taken, r) || !create_messages(f, r)) {
		return false;
	}
	was_reset = pci_reset_function(f->pci);
	log_line("%s: owns PCI %02x:%02x.%x%s", p->config->name, BDF_PARTS(f->pci->bdf),
		 was_reset ? "" : "; it has no reset, so its state outlives the guest");
	vpci_function_init(f);
	return true;
}

static bool attach(struct partition *p, struct refusal *r)
{
	struct passthrough *d = p->devices;

	if (!iommu) {
		log_line("%s: WARNING: no IOMMU holds its devices: their DMA can reach and change "
			 "all memory, Mullion's too",
			 p->config->name);
		return true;
	}
	if (!iommu->domain_create(&p->as, &d->domain, r)) {
		return false;
	}
	for (unsigned i = 0; i < d->functions; i++) {
		if (!iommu->attach(d->function[i].pci->bdf, d->domain, r)) {
			return false;
		}
	}
	if (!iommu->remaps_interrupts()) {
		log_line("%s: WARNING: %s does not remap interrupts: its devices can raise any "
			 "vector on any CPU",
			 p->config->name, iommu->name);
	}
	return true;
}

static bool masters(const struct passthrough *d)
{
	bool any = false;

	for (unsigned i = 0; i < d->functions; i++) {
		any |= d->function[i].pci->master;
	}
	return any;
}

static void bars_moved(void *partition, struct vpci_function *f)
{
	struct partition *p = partition;

	(void)f;
	if (!passthrough_remap(p)) {
		return;
	}
	for (unsigned i = 0; i < p->vcpus; i++) {
		if (p->vcpu[i]->cpu == host_cpu()) {
			atomic_fetch_or(&p->vcpu[i]->request, REQUEST_REMAP);
		}
	}
}

static const struct vpci_events events = {
	.decode = bars_moved,
	.message = passthrough_message,
	.intx = passthrough_intx,
	.rejected = rejected,
};

static bool check_cpus(const struct partition *p, struct refusal *r)
{
	for (unsigned i = 0; i < p->vcpus; i++) {
		uint32_t id = host_apic_id(p->vcpu[i]->cpu);

		if (iommu ? !iommu->reaches(id) : id > 0xfe) {
			return refuse(r,
				      "guest %s: CPU %u has an APIC id that devices cannot address",
				      p->config->name, p->vcpu[i]->cpu);
		}
	}
	return true;
}

bool passthrough_create(struct partition *p, struct refusal *r)
{
	uint32_t taken = 1;
	hpa_t at;

	if (!p->config->pcis) {
		return true;
	}
	if (!host_alloc(ALIGN_UP(sizeof(*p->devices), (uint64_t)PAGE_SIZE), PAGE_SIZE, &at)) {
		return refuse(r, "guest %s: no memory for its devices", p->config->name);
	}
	p->devices = host_ptr(at);
	for (unsigned i = 0; i < p->config->pcis; i++) {
		uint16_t bdf = passthrough_bdf(&p->config->pci[i]);

		taken |= keeps_place(p->config, bdf) ? 1u << (bdf >> 3 & 31) : 0;
	}
	for (unsigned i = 0; i < p->config->pcis; i++) {
		if (!create_function(p, i, &taken, r)) {
			return false;
		}
		p->devices->functions++;
	}
	p->pc.pci.function = p->devices->function;
	p->pc.pci.functions = p->devices->functions;
	p->pc.pci.events = &events;
	p->pc.pci.ctx = p;
	p->pc.ioapic.eoi = passthrough_pin_eoi;
	p->pc.ioapic.masked = passthrough_pin_masked;
	p->pc.pic.eoi = passthrough_pic_eoi;
	p->pc.pic.masked = passthrough_pic_masked;
	p->pc.ioapic.ctx = p;
	return check_cpus(p, r) && passthrough_place_bars(p, r) && passthrough_open_lines(p, r) &&
	       (!masters(p->devices) || attach(p, r));
}

static bool is_owned(uint16_t bdf)
{
	for (unsigned i = 0; i < partition_count; i++) {
		if (passthrough_owned(partitions[i], bdf)) {
			return true;
		}
	}
	return false;
}

static bool group_is_owned(uint16_t group)
{
	for (unsigned i = 0; i < pci_function_count; i++) {
		if (pci_functions[i].group == group && is_owned(pci_functions[i].bdf)) {
			return true;
		}
	}
	return false;
}

/*
 * What shows the screen may read its picture from memory, and an I/O APIC's interrupts are writes.
 * Where an IOMMU holds the rest, what firmware goes on driving keeps what firmware has reserved for
 * it: USB, for a keyboard, and management controllers.
 */
static bool keeps_mastering(const struct pci_function *f)
{
	enum { DISPLAY = 3, SYSTEM = 8, INTERRUPT_CONTROLLER = 0x0800, USB = 0x0c03 };
	unsigned class = f->class_revision >> 24, sub = f->class_revision >> 16;

	return class == DISPLAY || sub == INTERRUPT_CONTROLLER ||
	       (iommu && (class == SYSTEM || sub == USB) && !group_is_owned(f->group));
}

static void silence(const struct pci_function *f)
{
	uint32_t command = pci_read(f->bdf, PCI_COMMAND, 2);

	if (!keeps_mastering(f)) {
		command &= ~(uint32_t)PCI_COMMAND_MASTER;
	}
	pci_write(f->bdf, PCI_COMMAND, 2, command | PCI_COMMAND_INTX_OFF);
}

void passthrough_silence_rest(void)
{
	for (unsigned i = 0; i < pci_function_count; i++) {
		const struct pci_function *f = &pci_functions[i];

		if (pci_is_device(f) && !is_owned(f->bdf)) {
			silence(f);
		}
	}
	for (unsigned i = 0; i < pci_function_count; i++) {
		if (is_owned(pci_functions[i].bdf)) {
			pci_open_way(&pci_functions[i]);
		}
	}
}
