/*
 * Faults, starts and ends of partitions that own functions: see passthrough.h.
 *
 * A fault is taken by the boot CPU at any time, or by one whose guest ends; starts and ends happen
 * on the boot vCPU's CPU while all vCPUs of the partition stand still.
 */
#include "hv/log.h"
#include "hv/passthrough_part.h"

/* --- faults --- */

static const struct vpci_function *requester(const struct partition *p, uint16_t id)
{
	const struct vpci_function *f = passthrough_owned(p, id);

	for (unsigned i = 0; !f && p->devices && i < p->devices->functions; i++) {
		f = p->devices->function[i].pci->requester == id ? &p->devices->function[i] : NULL;
	}
	return f;
}

static bool stop(struct partition *p, const struct pci_function *pci, const struct iommu_fault *f)
{
	/* First: once it is stopped it may start at once, and then its faults count again. */
	iommu->quiet(f->bdf);
	if (f->interrupt) {
		return partition_end(p, END_ERROR,
				     "PCI %02x:%02x.%x sent many interrupts that are not the "
				     "guest's (`on-dma-fault = stop`)",
				     BDF_PARTS(pci->bdf));
	}
	return partition_end(p, END_ERROR,
			     "PCI %02x:%02x.%x tried to %s 0x%lx, which is not the guest's "
			     "(`on-dma-fault = stop`)",
			     BDF_PARTS(pci->bdf), f->write ? "write" : "read", f->address);
}

bool passthrough_dma_fault(const struct iommu_fault *fault, bool many)
{
	for (unsigned i = 0; (!fault->interrupt || many) && i < partition_count; i++) {
		struct partition *p = partitions[i];
		const struct vpci_function *f = requester(p, fault->bdf);

		/* Before its first start nothing of a guest's drives the device. */
		if (f && p->config->on_dma_fault == DMA_FAULT_STOP && atomic_load(&p->generation)) {
			return stop(p, f->pci, fault);
		}
	}
	return false;
}

/* --- life --- */

/* What a life's devices have faulted until now the next one is not ended for. */
static void settle(const struct passthrough *d)
{
	for (unsigned i = 0; d->domain && i < d->functions; i++) {
		const struct pci_function *pci = d->function[i].pci;

		host_dma_settle(pci->bdf);
		if (pci->requester != pci->bdf) {
			host_dma_settle(pci->requester);
		}
	}
}

/*
 * Between two lives the functions reach nothing, whatever they still have under way: the guest's
 * memory is made new meanwhile. Letting them through again also has their faults told again.
 */
static void let_through(struct partition *p, bool on)
{
	struct passthrough *d = p->devices;
	struct refusal r = {""};

	for (unsigned i = 0; d->domain && d->blocked == on && i < d->functions; i++) {
		if (!iommu->attach(d->function[i].pci->bdf, on ? d->domain : NULL, &r)) {
			log_line("%s: %s", p->config->name, r.text);
		}
	}
	d->blocked = !on;
}

/* As a PC's firmware leaves the inputs of PCI interrupts. */
static void make_level(struct partition *p, unsigned irq)
{
	if (irq) {
		vpic_set(&p->pc.pic, irq, false);
		p->pc.pic.chip[irq >> 3].elcr |= (uint8_t)(1 << (irq & 7));
	}
}

void passthrough_start(struct partition *p)
{
	struct passthrough *d = p->devices;

	if (!d->blocked) { /* what was before its first life */
		settle(d);
	}
	let_through(p, true);
	for (unsigned i = 0; i < d->functions; i++) {
		vioapic_set(&p->pc.ioapic, passthrough_gsi(&d->function[i]), false);
		make_level(p, d->function[i].isa_irq);
		vpci_function_reset(&d->function[i]);
	}
	passthrough_close_interrupts(p);
	for (unsigned i = 0; i < d->functions; i++) {
		passthrough_intx(p, &d->function[i]); /* turns decoding on */
		passthrough_disarm(&d->function[i]);
	}
	/* All vCPUs stand still, and flush before they run. */
	passthrough_remap(p);
	npt_flushed(&p->npt, p->npt.retired_next);
}

static void silence(const struct partition *p, const struct pci_function *pci)
{
	pci_write(pci->bdf, PCI_COMMAND, 2, passthrough_decoding(pci) | PCI_COMMAND_INTX_OFF);
	if (pci->cap_msi) {
		pci_write(pci->bdf, pci->cap_msi + MSI_CONTROL, 2, 0);
	}
	if (pci->cap_msix) {
		pci_write(pci->bdf, pci->cap_msix + MSIX_CONTROL, 2, 0);
	}
	pci_reset_function(pci);
	if (pci_read(pci->bdf, PCI_VENDOR, 2) != pci->vendor) {
		log_line("%s: PCI %02x:%02x.%x does not answer any more", p->config->name,
			 BDF_PARTS(pci->bdf));
	}
}

void passthrough_stop(struct partition *p)
{
	struct passthrough *d = p->devices;

	for (unsigned i = 0; i < d->functions; i++) {
		silence(p, d->function[i].pci);
	}
	let_through(p, false);
	settle(d);
	passthrough_close_interrupts(p);
	log_line("%s: its devices sent %lu interrupts, %lu were injected, %lu were nobody's",
		 p->config->name, atomic_load(&d->taken), atomic_load(&d->injected),
		 atomic_load(&d->orphans));
}
