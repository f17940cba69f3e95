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

package doctor

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"backupsync.dev/operator/api/v1alpha1"
)

// What clusters say of pods holds what registries answer, and conditions what was written there.
func TestMessagesOfTheClusterCannotDriveATerminal(t *testing.T) {
	evil := "denied\x1b]0;owned\x07\x1b[2J"
	pod := &corev1.Pod{Status: corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{
		{Name: "manager", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ErrImagePull", Message: evil}}}}}}
	project := &v1alpha1.CBRProject{}
	project.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Reason: "Other", Message: evil}}
	var text strings.Builder
	if err := reportOf(about("operator", append(judgePod(pod), judgeReady(project)))).text(&text); err != nil || strings.ContainsAny(text.String(), "\x1b\x07") {
		t.Errorf("%q, %v", text.String(), err)
	}
}
