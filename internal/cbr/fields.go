/*
Copyright 2026 The BackupSync Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package cbr

import "github.com/go-json-experiment/json/jsontext"

// field is a member of an object, and where to keep its value: a *string, an *int, or something that reads itself.
type field struct {
	name string
	into any
}

// fields reads an object, and passes over what is none and over all that it is not told to keep. A field that is not what it
// should be is left empty: what exists must not go unseen for it.
func (s *stream) fields(fields ...field) error {
	return s.members(func(name []byte) error {
		for i := range fields {
			if fields[i].name == string(name) {
				return s.into(fields[i].into)
			}
		}
		return s.skip()
	})
}

func (s *stream) into(value any) error {
	if s.values++; s.values > maxValues {
		return errTooMany
	}
	switch value := value.(type) {
	case *string:
		return s.text(value)
	case *int:
		return s.number(value)
	case interface{ read(*stream) error }:
		return value.read(s)
	default:
		return s.skip()
	}
}

func (i *Import) read(s *stream) error {
	return s.fields(field{"backup_id", &i.BackupID}, field{"operation_log_id", &i.OperationLogID})
}

func (b *ListedBackup) read(s *stream) error {
	return s.fields(field{"id", &b.ID}, field{"status", (*string)(&b.Status)})
}

func (b *BackupDetails) read(s *stream) error {
	return s.fields(field{"id", &b.ID}, field{"status", (*string)(&b.Status)}, field{"name", &b.Name}, field{"resource_id", &b.ResourceID},
		field{"resource_name", &b.ResourceName}, field{"provider_id", &b.ProviderID}, field{"created_at", &b.CreatedAt})
}

func (b *StoredBackup) read(s *stream) error {
	return s.fields(field{"id", &b.ID}, field{"name", &b.Name}, field{"status", &b.Status}, field{"resource_id", &b.ResourceID},
		field{"resource_type", &b.ResourceType}, field{"provider_id", &b.ProviderID})
}

func (l *OperationLog) read(s *stream) error {
	return s.fields(field{"id", &l.ID}, field{"operation_type", &l.OperationType}, field{"status", (*string)(&l.Status)},
		field{"created_at", &l.CreatedAt}, field{"started_at", &l.StartedAt}, field{"ended_at", &l.EndedAt}, field{"updated_at", &l.UpdatedAt},
		field{"error_info", &l.ErrorInfo}, field{"extra_info", &l.ExtraInfo})
}

func (t *Time) read(s *stream) error {
	var text string
	err := s.text(&text)
	t.parse(text)
	return err
}

func (e *ErrorInfo) read(s *stream) error {
	return s.fields(field{"code", (*code)(&e.Code)}, field{"message", &e.Message})
}

// code is an error code, which may be a number.
type code string

func (c *code) read(s *stream) error {
	if s.PeekKind() != jsontext.KindNumber {
		return s.text((*string)(c))
	}
	value, err := s.ReadValue()
	*c = code(value[:min(len(value), maxTextBytes)])
	return err
}

func (e *ExtraInfo) read(s *stream) error {
	return s.fields(field{"backup", &e.Backup}, field{"resource", &e.Resource}, field{"sync", &e.Sync})
}

func (b *TaskBackup) read(s *stream) error {
	return s.fields(field{"backup_id", &b.ID}, field{"backup_name", &b.Name})
}

func (r *TaskResource) read(s *stream) error {
	return s.fields(field{"id", &r.ID}, field{"name", &r.Name}, field{"type", &r.Type})
}

func (c *TaskCounts) read(s *stream) error {
	return s.fields(field{"sync_backup_num", &c.SyncBackups}, field{"delete_backup_num", &c.DeleteBackups}, field{"err_sync_backup_num", &c.FailedBackups})
}
