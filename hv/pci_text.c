/*
 * PCI functions as lines of a configuration: see pci_text.h. No state.
 */
#include "hv/pci_text.h"
#include "hv/lib/printf.h"

/* What the class code says, in words. */
static const char *class_name(uint32_t class_revision)
{
	static const char *const name[] = {
		"device",
		"storage controller",
		"network controller",
		"display controller",
		"multimedia device",
		"memory controller",
		"bridge",
		"serial port",
		"system device",
		"input device",
		"docking station",
		"processor",
		"serial bus",
		"wireless controller",
		"intelligent controller",
	};
	unsigned class = class_revision >> 24;

	if (class_revision >> 16 == PCI_CLASS_IOMMU) {
		return "IOMMU";
	}
	if (class_revision >> 16 == 0x0c03) {
		return "USB controller";
	}
	return class < ARRAY_SIZE(name) ? name[class] : "device";
}

bool pci_is_device(const struct pci_function *f)
{
	return f->header_type == 0 && f->class_revision >> 24 != PCI_CLASS_BRIDGE &&
	       f->class_revision >> 16 != PCI_CLASS_IOMMU;
}

const char *pci_line(struct pci_line *l, const struct pci_function *f)
{
	bool can = pci_is_device(f);
	unsigned bars = 0;

	for (unsigned i = 0; i < PCI_BARS; i++) {
		bars += f->bar[i].size != 0;
	}
	fmt_print(l->text, sizeof(l->text), "%s %02x:%02x.%x  # %04x:%04x %s",
		  can ? "pci =" : "PCI  ", BDF_PARTS(f->bdf), f->vendor, f->device,
		  class_name(f->class_revision));
	if (f->cap_msix) {
		fmt_append(l->text, sizeof(l->text), ", MSI-X %u", f->msix_entries);
	}
	if (f->cap_msi) {
		fmt_append(l->text, sizeof(l->text), ", MSI %u", f->msi_vectors);
	}
	if (!f->cap_msi && !f->cap_msix && f->pin && can) {
		fmt_append(l->text, sizeof(l->text), ", IRQ %u", f->line);
	}
	if (can) {
		fmt_append(l->text, sizeof(l->text), ", %u BAR%s", bars, bars == 1 ? "" : "s");
	} else if (f->header_type == 1) {
		fmt_append(l->text, sizeof(l->text), " to bus %02x", f->secondary);
	}
	if (f->cap_acs) {
		fmt_append(l->text, sizeof(l->text), ", ACS%s",
			   f->acs_on & ACS_WANTED ? "" : " off");
	}
	if (f->group != f->bdf) {
		fmt_append(l->text, sizeof(l->text), ", one group with %02x:%02x.%x",
			   BDF_PARTS(f->group));
	}
	return l->text;
}
