/*
 * Files of the loader's own medium, read whole into memory and compared with the loader's digests.
 *
 * Called by main.c and chosen.c. State: the open directory, and where the digests are.
 */
#include "boot/efi/digests.h"
#include "boot/efi/loader.h"
#include "hv/lib/printf.h"
#include "hv/lib/string.h"

static EFI_FILE_HANDLE root;
static struct digests digests;

static bool refuse_file(struct refusal *r, const char *path, EFI_STATUS status, const char *hint)
{
	struct status_text words;

	return refuse(r, "%s: %s%s", path, status_words(&words, status), hint);
}

bool files_open(struct refusal *r)
{
	EFI_GUID guid = SIMPLE_FILE_SYSTEM_PROTOCOL;
	EFI_FILE_IO_INTERFACE *volume;
	struct status_text words;
	EFI_STATUS status = firmware.boot->HandleProtocol(firmware.image->DeviceHandle, &guid,
							  (void **)&volume);

	if (EFI_ERROR(status)) {
		return refuse(r,
			      "the loader was not started from a file system: %s; start it from "
			      "the medium that has its files",
			      status_words(&words, status));
	}
	status = volume->OpenVolume(volume, &root);
	if (EFI_ERROR(status)) {
		return refuse(r, "the loader's own medium: %s", status_words(&words, status));
	}
	digests_find(&digests, firmware.image->ImageBase, firmware.image->ImageSize);
	return true;
}

void files_close(void)
{
	if (root) {
		root->Close(root);
		root = NULL;
	}
}

bool files_fixed(void)
{
	return digests.text != NULL;
}

/* UEFI specification, "Globally Defined Variables": SecureBoot is 1 when images are checked. */
static bool secure_boot(void)
{
	EFI_GUID guid = EFI_GLOBAL_VARIABLE;
	CHAR16 name[] = L"SecureBoot";
	UINT8 on = 0;
	UINTN size = sizeof(on);

	return !EFI_ERROR(firmware.table->RuntimeServices->GetVariable(name, &guid, NULL, &size,
								       &on)) &&
	       on == 1;
}

bool files_check_trust(struct refusal *r)
{
	if (secure_boot() && !files_fixed()) {
		return refuse(
			r,
			"Secure Boot is on, but this loader carries no digests of its files, so "
			"anything could be started; make the image with mkimage --efi-only --sign");
	}
	return true;
}

/* --- one file --- */

static EFI_STATUS open_file(const char *path, EFI_FILE_HANDLE *file)
{
	CHAR16 wide[FILE_PATH];
	size_t n = strnlen(path, FILE_PATH - 1);

	for (size_t i = 0; i < n; i++) {
		wide[i] = path[i] == '/' ? '\\' : (uint8_t)path[i];
	}
	wide[n] = 0;
	return root->Open(root, file, wide, EFI_FILE_MODE_READ, 0);
}

static EFI_STATUS file_info(EFI_FILE_HANDLE file, uint64_t *size, bool *is_directory)
{
	EFI_GUID guid = EFI_FILE_INFO_ID;
	union {
		EFI_FILE_INFO info;
		uint8_t room[sizeof(EFI_FILE_INFO) + 512];
	} buffer;
	UINTN len = sizeof(buffer);
	EFI_STATUS status = file->GetInfo(file, &guid, &len, &buffer);

	*size = EFI_ERROR(status) ? 0 : buffer.info.FileSize;
	*is_directory = !EFI_ERROR(status) && buffer.info.Attribute & EFI_FILE_DIRECTORY;
	return status;
}

bool files_find(const char *path, uint64_t *size)
{
	EFI_FILE_HANDLE file;
	bool is_directory;
	EFI_STATUS status = open_file(path, &file);

	if (EFI_ERROR(status)) {
		return false;
	}
	status = file_info(file, size, &is_directory);
	file->Close(file);
	return !EFI_ERROR(status) && !is_directory;
}

/* In pieces: some firmware fails at large reads from USB. */
static bool read_bytes(EFI_FILE_HANDLE file, const struct file *f, struct refusal *r)
{
	uint64_t done = 0;

	while (done < f->size) {
		UINTN n = f->size - done > MIB(1) ? MIB(1) : f->size - done;
		EFI_STATUS status = file->Read(file, &n, f->data + done);

		if (EFI_ERROR(status)) {
			return refuse_file(r, f->path, status, "; the medium may be worn out");
		}
		if (!n) {
			return refuse(r, "%s: ends after %lu of its %lu bytes; copy it again",
				      f->path, done, f->size);
		}
		done += n;
	}
	return true;
}

static bool read_open(EFI_FILE_HANDLE file, struct file *f, uint64_t most, struct refusal *r)
{
	bool is_directory;
	EFI_STATUS status = file_info(file, &f->size, &is_directory);

	if (EFI_ERROR(status)) {
		return refuse_file(r, f->path, status, "");
	}
	if (is_directory) {
		return refuse(r, "%s: is a directory; a file must have that name", f->path);
	}
	if (!f->size) {
		return refuse(r, "%s: is empty; copy it again", f->path);
	}
	if (f->size > most) {
		return refuse(r, "%s: has %lu bytes; at most %lu can be loaded", f->path, f->size,
			      most);
	}
	/* Not the last page: a module's end has 32 bits. */
	f->data = pages_take(f->size, PAGE_SIZE, GIB(4) - PAGE_SIZE, PAGES_FOR_DATA);
	if (!f->data) {
		return refuse(r, "%s: no %lu MiB of memory below 4 GiB are left for it", f->path,
			      (f->size + MIB(1) - 1) >> 20);
	}
	return read_bytes(file, f, r) &&
	       (!files_fixed() || digests_check(&digests, f->path, f->data, f->size, r));
}

bool files_read(struct file *f, const char *path, uint64_t most, struct refusal *r)
{
	EFI_FILE_HANDLE file;
	EFI_STATUS status = open_file(path, &file);
	bool ok;

	*f = (struct file){0};
	fmt_print(f->path, sizeof(f->path), "%s", path);
	if (EFI_ERROR(status)) {
		return refuse_file(r, path, status,
				   "; put it on the medium that this loader is on");
	}
	ok = read_open(file, f, most, r);
	file->Close(file);
	return ok;
}
