/*
 * PCI functions of a Linux host by its sysfs: see devices.h. Called by mullion-config.c. No state.
 *
 * The lines are those of Mullion's boot log. What root alone may read (capabilities) is left out
 * for others.
 */
#include <dirent.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hv/lib/printf.h"
#include "hv/pci_text.h"
#include "scripts/devices.h"

enum { HEADER = 64, CONFIG = 256, CAPABILITIES_MAX = 48 };
/* Flags in the file `resource` (Linux, include/linux/ioport.h). */
enum { RESOURCE_IO = 0x100, RESOURCE_MEMORY = 0x200 };

struct entry {
	char dir[4096];
	uint8_t config[CONFIG];
	size_t config_bytes;
	struct pci_function f;
};

static size_t read_file(const struct entry *e, const char *name, void *out, size_t size)
{
	char path[4200];
	size_t n = 0;
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", e->dir, name);
	f = fopen(path, "rb");
	if (f) {
		n = fread(out, 1, size, f);
		fclose(f);
	}
	return n;
}

static unsigned long read_number(const struct entry *e, const char *name)
{
	char text[64];
	size_t n = read_file(e, name, text, sizeof(text) - 1);

	text[n] = 0;
	return strtoul(text, NULL, 0);
}

/* The last part of what a link names: a driver's name, a group's number. */
static bool read_link(const struct entry *e, const char *name, char out[64])
{
	char path[4200], target[4200];
	const char *base;
	ssize_t n;

	snprintf(path, sizeof(path), "%s/%s", e->dir, name);
	n = readlink(path, target, sizeof(target) - 1);
	if (n < 0) {
		return false;
	}
	target[n] = 0;
	base = strrchr(target, '/');
	snprintf(out, 64, "%.63s", base ? base + 1 : target);
	return true;
}

/* One line per BAR: first and last address, and flags. */
static void read_bars(struct entry *e)
{
	char text[1024], *at = text;

	text[read_file(e, "resource", text, sizeof(text) - 1)] = 0;
	for (unsigned i = 0; i < PCI_BARS && at; i++) {
		unsigned long long first, last, flags;

		if (sscanf(at, "%llx %llx %llx", &first, &last, &flags) == 3 &&
		    flags & (RESOURCE_IO | RESOURCE_MEMORY)) {
			e->f.bar[i] = (struct pci_bar){
				.base = first, .size = last - first + 1, .io = flags & RESOURCE_IO};
		}
		at = strchr(at, '\n');
		at = at ? at + 1 : NULL;
	}
}

static unsigned config16(const struct entry *e, unsigned at)
{
	return at + 2 <= e->config_bytes ? e->config[at] | e->config[at + 1] << 8 : 0;
}

static void read_capabilities(struct entry *e)
{
	unsigned at = config16(e, PCI_STATUS) & PCI_STATUS_CAPABILITIES
			      ? e->config[PCI_CAPABILITIES] & 0xfcu
			      : 0;

	for (unsigned n = 0; n < CAPABILITIES_MAX && at >= HEADER && at + 4 <= e->config_bytes;
	     n++) {
		unsigned control = config16(e, at + 2);

		if (e->config[at] == PCI_CAP_MSI) {
			e->f.cap_msi = (uint8_t)at;
			e->f.msi_vectors = (uint8_t)(1u << (control >> 1 & 7));
		} else if (e->config[at] == PCI_CAP_MSIX) {
			e->f.cap_msix = (uint8_t)at;
			e->f.msix_entries = (uint16_t)((control & MSIX_SIZE) + 1);
		}
		at = e->config[at + 1] & 0xfcu;
	}
}

/*
 * Linux's number of a line's interrupt is its GSI on the first I/O APIC, which has 24 inputs or
 * more, once a driver has asked for it; until then it is the Interrupt Line register. Functions
 * with messages need no line.
 */
static void read_gsi(struct entry *e)
{
	unsigned long irq = read_number(e, "irq");
	char path[4200];

	snprintf(path, sizeof(path), "%s/msi_irqs", e->dir);
	if (e->f.pin && !e->f.cap_msi && !e->f.cap_msix && irq >= 16 && irq < 24 &&
	    access(path, F_OK)) {
		e->f.gsi = (uint8_t)irq;
	}
}

static void read_function(struct entry *e)
{
	e->f.vendor = (uint16_t)read_number(e, "vendor");
	e->f.device = (uint16_t)read_number(e, "device");
	e->f.class_revision = (uint32_t)read_number(e, "class") << 8;
	e->config_bytes = read_file(e, "config", e->config, CONFIG);
	if (e->config_bytes >= HEADER) {
		e->f.line = e->config[PCI_LINE];
		e->f.header_type = e->config[PCI_HEADER_TYPE] & 0x7f;
		e->f.pin = e->config[PCI_PIN] <= 4 ? e->config[PCI_PIN] : 0;
		e->f.secondary = e->config[PCI_BUSES + 1];
	}
	e->f.group = e->f.bdf; /* the kernel tells its own groups */
	read_bars(e);
	read_capabilities(e);
	read_gsi(e);
}

static void print_entry(const struct entry *e)
{
	struct pci_line line;
	char name[64];

	pci_line(&line, &e->f);
	if (read_link(e, "iommu_group", name)) {
		fmt_append(line.text, sizeof(line.text), ", group %s", name);
	}
	if (read_link(e, "driver", name)) {
		fmt_append(line.text, sizeof(line.text), ", driver %s", name);
	}
	printf("%s%s\n", pci_is_device(&e->f) ? "" : "# ", line.text);
}

/* Domain, bus, device and function, as sysfs names the directories. */
static bool parse_name(const char *name, unsigned *domain, uint16_t *bdf)
{
	unsigned bus, device, function;
	int end = 0;

	if (sscanf(name, "%x:%x:%x.%x%n", domain, &bus, &device, &function, &end) != 4 ||
	    name[end] || bus > 255 || device > 31 || function > 7) {
		return false;
	}
	*bdf = pci_bdf(bus, device, function);
	return true;
}

/* What the list as a whole leaves open. */
struct notes {
	bool short_config, no_group, domains;
};

static void print_name(const char *dir, const char *name, struct notes *notes)
{
	struct entry e = {.config_bytes = 0};
	unsigned domain;
	char group[64];

	if (!parse_name(name, &domain, &e.f.bdf)) {
		return;
	}
	if (domain) {
		notes->domains = true;
		return;
	}
	e.f.group = e.f.bdf; /* Linux's own groups are told */
	snprintf(e.dir, sizeof(e.dir), "%s/%s", dir, name);
	read_function(&e);
	notes->short_config |= e.config_bytes < CONFIG;
	notes->no_group |= pci_is_device(&e.f) && !read_link(&e, "iommu_group", group);
	print_entry(&e);
}

bool devices_print(const char *sysfs)
{
	struct notes notes = {false, false, false};
	struct dirent **list;
	char dir[2048];
	int n;

	snprintf(dir, sizeof(dir), "%s/bus/pci/devices", sysfs);
	n = scandir(dir, &list, NULL, alphasort);
	if (n < 0) {
		fprintf(stderr, "mullion-config: %s: %s\n", dir, strerror(errno));
		return false;
	}
	puts("# PCI functions of this host. A line in a guest's section gives it the function.");
	for (int i = 0; i < n; i++) {
		print_name(dir, list[i]->d_name, &notes);
		free(list[i]);
	}
	free(list);
	if (notes.short_config) {
		puts("# MSI and MSI-X show to root only.");
	}
	if (notes.no_group) {
		puts("# Functions without a group: Linux has no IOMMU on.");
	}
	if (notes.domains) {
		puts("# Functions outside PCI segment 0 are left out: Mullion does not reach "
		     "them.");
	}
	return true;
}
